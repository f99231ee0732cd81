package spec

import (
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/sandbox/show"
	"github.com/mepc/mepc-run/runtime"
)

// orNil makes Lua's nil of an argument that was not given.
func orNil(v lua.LValue) lua.LValue {
	if v == nil {
		return lua.LNil
	}
	return v
}

// comparison compares values, with the __eq of their metatables when it is part of a
// call.
type comparison struct {
	call *runtime.Call // nil: there are no metamethods
	err  error         // the first error of an __eq
}

// equal is Lua's ==.
func (q *comparison) equal(a, b lua.LValue) bool {
	x, ok := a.(*lua.LUserData)
	y, also := b.(*lua.LUserData)
	if ok && also {
		return x.Value == y.Value
	}
	if a == b {
		return true
	}
	t, ok := a.(*lua.LTable)
	u, also := b.(*lua.LTable)
	if !ok || !also {
		return false
	}
	fn := method(t, "__eq")
	return fn != nil && fn == method(u, "__eq") && q.asks(fn, t, u)
}

// asks calls an __eq.
func (q *comparison) asks(fn *lua.LFunction, t, u *lua.LTable) bool {
	if q.call == nil || q.err != nil {
		return false
	}
	out, err := q.call.Callable(fn).Call(q.call, t, u)
	if q.err = err; err != nil || len(out) == 0 {
		return false
	}
	v, _ := out[0].(lua.LValue)
	return lua.LVAsBool(orNil(v))
}

// method returns a function of t's metatable, or nil.
func method(t *lua.LTable, name string) *lua.LFunction {
	mt, ok := t.Metatable.(*lua.LTable)
	if !ok {
		return nil
	}
	fn, _ := mt.RawGetString(name).(*lua.LFunction)
	return fn
}

// same compares tables by what is in them, also ones that are inside themselves: they
// are the same when every way through one leads through the other to equal values.
// Two of one class are as its __eq says; the outermost two are compared by what is in
// them in any case. Tables that were compared once are of one class and not compared
// again, so it takes no longer than the tables are large (Hopcroft and Karp).
func (q *comparison) same(a, b lua.LValue) bool {
	seen, outermost := classes{}, true
	for todo := [][2]lua.LValue{{a, b}}; len(todo) > 0; outermost = false {
		pair := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		x, ok := pair[0].(*lua.LTable)
		y, also := pair[1].(*lua.LTable)
		switch {
		case !ok || !also:
			if !q.equal(pair[0], pair[1]) {
				return false
			}
			continue
		case !seen.join(x, y):
			continue
		}
		if fn := method(x, "__eq"); fn != nil && !outermost && q.call != nil && x.Metatable == y.Metatable {
			if !q.asks(fn, x, y) {
				return false
			}
			continue
		}
		n := 0
		for k, v := x.Next(lua.LNil); k != lua.LNil; k, v = x.Next(k) {
			n++
			todo = append(todo, [2]lua.LValue{v, y.RawGet(k)})
		}
		for k, _ := y.Next(lua.LNil); k != lua.LNil; k, _ = y.Next(k) {
			n--
		}
		if n != 0 {
			return false
		}
	}
	return true
}

// classes has of a table another one of its class, and nothing of one of them.
type classes map[*lua.LTable]*lua.LTable

func (c classes) of(t *lua.LTable) *lua.LTable {
	for c[t] != nil {
		if up := c[c[t]]; up != nil {
			c[t] = up
		}
		t = c[t]
	}
	return t
}

// join makes one class of two, and reports whether they were two.
func (c classes) join(a, b *lua.LTable) bool {
	if a, b = c.of(a), c.of(b); a == b {
		return false
	}
	c[a] = b
	return true
}

const (
	wide     = 72       // how long a table may be to stand in one line
	maxShown = 64 << 10 // bytes of a value that are shown
)

// shown writes a value as Lua has it, tables over several lines when they are long.
func shown(v lua.LValue) string {
	if one := show.Line(v, maxShown); len(one) <= wide {
		return one
	}
	return show.Lines(v, maxShown)
}

// lines writes a value with each entry of a table on a line of its own.
func lines(v lua.LValue) []string { return strings.Split(show.Lines(v, maxShown), "\n") }
