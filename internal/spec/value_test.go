package spec

import (
	"math/rand/v2"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// unrolled compares tables to a depth, the plain way.
func unrolled(a, b lua.LValue, depth int) bool {
	x, ok := a.(*lua.LTable)
	y, also := b.(*lua.LTable)
	if !ok || !also {
		return (&comparison{}).equal(a, b)
	}
	if depth == 0 || x.Len() != y.Len() {
		return x.Len() == y.Len()
	}
	for i := 1; i <= x.Len(); i++ {
		if !unrolled(x.RawGetInt(i), y.RawGetInt(i), depth-1) {
			return false
		}
	}
	return true
}

// Graphs of tables at random, with cycles: what differs does so within as many steps
// as there are pairs of tables.
func TestSameIsWhatUnrollingSays(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 1))
	graph := func() *lua.LTable {
		tables := make([]*lua.LTable, 1+rnd.IntN(3))
		for i := range tables {
			tables[i] = &lua.LTable{}
		}
		for _, from := range tables {
			for range 1 + rnd.IntN(2) {
				if rnd.IntN(4) == 0 {
					from.Append(lua.LNumber(rnd.IntN(2)))
				} else {
					from.Append(tables[rnd.IntN(len(tables))])
				}
			}
		}
		return tables[0]
	}
	alike := 0
	for range 5000 {
		a, b := graph(), graph()
		want := unrolled(a, b, 9)
		if got := (&comparison{}).same(a, b); got != want {
			t.Fatalf("same is %v, want %v:\n%s\n%s", got, want, shown(a), shown(b))
		}
		if want {
			alike++
		}
	}
	if alike < 100 || alike > 4900 {
		t.Errorf("%d of 5000 are the same: the graphs show nothing", alike)
	}
}
