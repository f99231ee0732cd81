package show_test

import (
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/sandbox/show"
)

func table(pairs ...lua.LValue) *lua.LTable {
	t := &lua.LTable{Metatable: lua.LNil}
	for i := 0; i < len(pairs); i += 2 {
		t.RawSet(pairs[i], pairs[i+1])
	}
	return t
}

func TestValuesAreWrittenAsLuaHasThem(t *testing.T) {
	t.Parallel()
	list := table(lua.LNumber(1), lua.LString("a\n"), lua.LNumber(2), lua.LTrue)
	for want, v := range map[string]lua.LValue{
		`nil`: lua.LNil, `1.5`: lua.LNumber(1.5), `"it \"is\"\t\\"`: lua.LString("it \"is\"\t\\"), `{}`: table(),
		`{"a\n", true}`: list,
		`{"x", [3] = {"a\n", true}, ["a b"] = 2, a_b = 1}`: table(lua.LString("a b"), lua.LNumber(2), lua.LString("a_b"), lua.LNumber(1),
			lua.LNumber(3), list, lua.LNumber(1), lua.LString("x")),
	} {
		if got := show.Line(v, 1000); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	want := "{\n  \"a\\n\",\n  true,\n}"
	if got := show.Lines(list, 1000); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestWhateverIsShownHasAnEnd shows what would be endless, or gigabytes.
func TestWhateverIsShownHasAnEnd(t *testing.T) {
	t.Parallel()
	self := table()
	self.RawSetString("me", self)
	self.RawSet(self, self)
	shared := table(lua.LNumber(1), lua.LNumber(1))
	for range 40 {
		shared = table(lua.LNumber(1), shared, lua.LNumber(2), shared)
	}
	deep := table()
	for range 100_000 {
		deep = table(lua.LNumber(1), deep)
	}
	long := lua.LString(strings.Repeat("\x00", 16<<20))
	wide := table()
	for i := range 200_000 {
		wide.RawSetInt(i+1, lua.LNumber(i))
	}
	for name, v := range map[string]lua.LValue{
		"itself": self, "shared": shared, "deep": deep, "long": long, "wide": wide, "long key": table(long, long),
	} {
		for _, got := range []string{show.Line(v, 1000), show.Lines(v, 1000)} {
			if len(got) > 60_000 {
				t.Errorf("%s: %d bytes", name, len(got))
			}
			if !strings.Contains(got, "...") && name != "itself" {
				t.Errorf("%s: it does not say that there is more: %.200s", name, got)
			}
		}
	}
	if got := show.Line(self, 1000); !strings.Contains(got, "me = {the table itself}") {
		t.Error(got)
	}
	if got := show.Text(strings.Repeat("ä", 100), 11); got != "äääää... (200 bytes in all)" {
		t.Error(got)
	}
}
