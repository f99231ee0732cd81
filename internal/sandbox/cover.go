package sandbox

import (
	"slices"

	lua "github.com/yuin/gopher-lua"
)

// Cover counts which instructions of the programs of a VM are executed. The zero
// Cover is ready. It belongs to one VM and is read when that is done; counting
// takes a run several times as long.
type Cover struct {
	programs []*Program
	counts   map[*lua.FunctionProto][]uint32 // by instruction

	last *lua.FunctionProto // most instructions are of the function of the one before
	of   []uint32           // its counts
}

// Covered records what was executed of one program.
type Covered struct {
	*Program
	Lines map[int]int // how often, by line; a line without code is not in it
	Calls []Callsite
}

// Callsite is a place that calls a method, x:name(), or a function of a global
// table, docker.name().
type Callsite struct {
	Line   int
	Global string // the table; "" for a method
	Name   string
	Count  int
}

// load takes a program in.
func (c *Cover) load(p *Program) {
	if slices.Contains(c.programs, p) {
		return
	}
	c.programs = append(c.programs, p)
	if c.counts == nil {
		c.counts = map[*lua.FunctionProto][]uint32{}
	}
	eachProto(p.proto, func(f *lua.FunctionProto) { c.counts[f] = make([]uint32, len(f.Code)) })
}

func eachProto(p *lua.FunctionProto, f func(*lua.FunctionProto)) {
	f(p)
	for _, child := range p.FunctionPrototypes {
		eachProto(child, f)
	}
}

// step counts the instruction that L is about to execute.
func (c *Cover) step(L *lua.LState) {
	f := topFrame(L)
	if !f.ok() || !f.isLua() {
		return
	}
	if proto := f.fn().Proto; proto != c.last {
		c.last, c.of = proto, c.counts[proto]
	}
	if pc := f.pc(); pc >= 0 && pc < len(c.of) {
		c.of[pc]++
	}
}

// Programs returns what was executed of each program, in the order in which they
// were loaded.
func (c *Cover) Programs() []Covered {
	var all []Covered
	for _, p := range c.programs {
		out := Covered{Program: p, Lines: map[int]int{}}
		eachProto(p.proto, func(f *lua.FunctionProto) { out.add(f, c.counts[f]) })
		all = append(all, out)
	}
	return all
}

func (c *Covered) add(f *lua.FunctionProto, counts []uint32) {
	for pc := 0; pc < len(f.Code); pc += 1 + trailing(f, pc) {
		i, line := instruction(f.Code[pc]), f.DbgSourcePositions[pc]
		// The return at the end of a function is of the compiler's making.
		if line > 0 && pc < len(f.Code)-1 {
			c.Lines[line] = max(c.Lines[line], int(counts[pc]))
		}
		switch i.op() {
		case lua.OP_SELF:
			if name, ok := operandString(f, i.c()); ok {
				c.Calls = append(c.Calls, Callsite{Line: line, Name: name, Count: int(counts[pc])})
			}
		case lua.OP_GETTABLE, lua.OP_GETTABLEKS:
			name, ok := operandString(f, i.c())
			if kind, global := describeRegister(f, i.b(), pc); ok && kind == "global" {
				c.Calls = append(c.Calls, Callsite{Line: line, Global: global, Name: name, Count: int(counts[pc])})
			}
		}
	}
}
