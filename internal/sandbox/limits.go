package sandbox

// Limits bounds what one recipe may use. A zero field means its default.
type Limits struct {
	// Steps is the number of VM instructions, plus the work that library
	// functions charge (a pattern match, a long string). Default 100 million,
	// a few seconds of computing. The count is exact and reproducible.
	Steps int64
	// SourceBytes is the size of one source file. Default 64 KiB. The compiler
	// is quadratic in places, so a cap far above 1 MiB costs seconds.
	SourceBytes int
	// StringBytes is the length of one string that a script builds. Default 16 MiB.
	StringBytes int
	// HeapBytes limits how far the live Go heap may grow over what it was when the
	// VM started to run. Default 128 MiB. See heap.go for what is counted.
	HeapBytes uint64
	// Depth is the nesting of pcall, coroutines and calls from Go into Lua.
	// Default 150; each level costs Go stack.
	Depth int
	// CallDepth is the depth of Lua calls in one thread; beyond it the script
	// gets Lua's own catchable "stack overflow". Default 4000. Each thread takes
	// a byte for it, and a branch, a coroutine and a pcall are a thread each.
	CallDepth int
	// Coroutines is the number of suspended coroutines at one time. Default
	// 5000. One that is never resumed to its end counts until the VM is closed.
	Coroutines int
	// Branches is the number of live branches of parallel. Default 10000.
	Branches int
}

// WithDefaults returns l with every zero field replaced by its default.
func (l Limits) WithDefaults() Limits {
	set := func(p *int, d int) {
		if *p <= 0 {
			*p = d
		}
	}
	if l.Steps <= 0 {
		l.Steps = 100_000_000
	}
	if l.HeapBytes == 0 {
		l.HeapBytes = 128 << 20
	}
	set(&l.SourceBytes, 64<<10)
	set(&l.StringBytes, 16<<20)
	set(&l.Depth, 150)
	set(&l.CallDepth, 4000)
	set(&l.Coroutines, 5000)
	set(&l.Branches, 10000)
	return l
}
