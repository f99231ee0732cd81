package runtime

import (
	"fmt"
	"math"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox"
)

// maxConverted bounds what one conversion between Lua and Go makes, in bytes as they
// lie in memory. A table that stands in a value many times is many tables then.
const maxConverted = 64 << 20

// What the parts of a converted value take, about.
const (
	nodeBytes  = 32
	tableBytes = 100
	entryBytes = 60
)

// tally counts what a conversion looks at and makes: it charges the run for both,
// and ends the conversion at its bound. Without an entry, as where a literal is
// looked at, it only counts.
type tally struct {
	entry *sandbox.Entry
	made  int
}

var errConverted = failure.New(failure.Limit, "the value is larger than the %d MiB that one call may take or give, counting a table as often as it stands in it", maxConverted>>20)

// add counts parts, which take some bytes together.
func (t *tally) add(parts, bytes int) error {
	if t.entry != nil {
		t.entry.Charge(parts + bytes/256)
	}
	if t.made += bytes; t.made > maxConverted {
		return errConverted
	}
	return nil
}

// raw counts a Lua value that Go gets as it is, with all that is in it.
func (t *tally) raw(v lua.LValue, depth int) error {
	if err := t.add(1, nodeBytes); err != nil {
		return err
	}
	switch v := v.(type) {
	case lua.LString:
		t.text(len(v))
	case *lua.LTable:
		if depth >= maxDepth {
			return fmt.Errorf("table nested deeper than %d, or inside itself", maxDepth)
		}
		for k, item := v.Next(lua.LNil); k != lua.LNil; k, item = v.Next(k) {
			if s, ok := k.(lua.LString); ok {
				t.text(len(s))
			}
			if err := t.raw(item, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// listLen returns n when t's keys are exactly 1..n, and 0 otherwise. It does
// not use the length operator: for {[8080]="x"} that is 8080.
func (t *tally) listLen(table *lua.LTable) int {
	looked, top, list := 0, 0, true
	for k, _ := table.Next(lua.LNil); list && k != lua.LNil; k, _ = table.Next(k) {
		i, ok := k.(lua.LNumber)
		list = ok && i >= 1 && float64(i) == math.Trunc(float64(i)) && i <= math.MaxInt32
		top = max(top, int(i))
		looked++
	}
	if t.entry != nil {
		t.entry.Charge(looked)
	}
	if !list || top != looked {
		return 0
	}
	return looked
}

// text counts a string that is looked at, and not copied.
func (t *tally) text(n int) {
	if t.entry != nil && n >= 64 {
		t.entry.ChargeBytes(n)
	}
}
