package spec

import (
	"math/rand/v2"
	"slices"

	"github.com/mepc/mepc-run/runtime"
)

func insulateFuncs() []runtime.Func {
	return []runtime.Func{
		{
			Name: "insulate",
			Doc: "Makes a block, as describe does, that leaves nothing behind: files loaded by require in it are loaded for it alone, and spies that " +
				"stand in place of something and worlds, made by its setup or outside of its tests, are gone after its last test. " +
				"What was loaded before is the block's, too. A file is insulated from other files in any case.",
			Example: `insulate("with a library of its own", function()
  local frontend = require("lib.frontend")
  it("has loaded it", function() assert.is_not_nil(frontend) end)
end)`,
			Call: runtime.Inline((*file).insulate),
		},
		{
			Name: "expose",
			Doc: "Makes a block, as describe does, whose effects stay: files loaded by require in it stay loaded for what follows, " +
				"up to the end of the insulate around it, or of the file.",
			Example: `expose("loaded for all", function() require("lib.frontend") end)`,
			Call:    runtime.Inline((*file).describe),
		},
	}
}

func (f *file) insulate(c *runtime.Call, a *blockArgs) (runtime.None, error) {
	if err := f.collecting("insulate"); err != nil {
		return runtime.None{}, err
	}
	f.lua = c.Run()
	return f.read(c, a, f.lua.Files().Clone())
}

// home returns the innermost insulated block that b is in, or is; nil for none.
func (b *block) home() *block {
	for ; b != nil; b = b.parent {
		if b.files != nil {
			return b
		}
	}
	return nil
}

// enter has what runs until leave load, place and make things for the insulated
// block that b is in.
func (f *file) enter(b *block) (leave func()) {
	outer := f.home
	f.home = b.home()
	if f.home == nil {
		return func() { f.home = outer }
	}
	files := f.lua.SetFiles(f.home.files)
	return func() {
		f.home = outer
		f.lua.SetFiles(files)
	}
}

// clear takes away what an insulated block has left behind, the newest first.
func (f *file) clear(b *block) {
	if b.files == nil {
		return
	}
	for _, s := range slices.Backward(f.placed) {
		if s.home == b {
			s.revert()
		}
	}
	f.placed = slices.DeleteFunc(f.placed, func(s *Spy) bool { return s.home == b })
	for _, w := range f.worlds {
		if w.home == b {
			_ = w.close() // real ones end with their test
		}
	}
	f.worlds = slices.DeleteFunc(f.worlds, func(w *World) bool { return w.home == b })
}

// shuffled draws an order of tests. Those of an insulated block stay together, so
// that it is over before what follows it begins.
func shuffled(tests []*test, in *block, draw *rand.Rand) []*test {
	var groups [][]*test
	of := map[*block]int{}
	var insulated []*block // of each group; nil: one test
	for _, t := range tests {
		var outermost *block
		for b := t.block; b != in && b != nil; b = b.parent {
			if b.files != nil {
				outermost = b
			}
		}
		n, known := of[outermost]
		if outermost == nil || !known {
			n = len(groups)
			groups, insulated = append(groups, nil), append(insulated, outermost)
			of[outermost] = n
		}
		groups[n] = append(groups[n], t)
	}
	order := draw.Perm(len(groups))
	var all []*test
	for _, n := range order {
		if insulated[n] != nil {
			groups[n] = shuffled(groups[n], insulated[n], draw)
		}
		all = append(all, groups[n]...)
	}
	return all
}
