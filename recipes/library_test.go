package recipes_test

import (
	"slices"
	"testing"

	"github.com/mepc/mepc-run/recipes"
)

func TestALibrarySaysWhatItHas(t *testing.T) {
	t.Parallel()
	all := recipes.Libraries()
	i := slices.IndexFunc(all, func(l recipes.Library) bool { return l.Name == "lib.deployment" })
	if i < 0 {
		t.Fatal("no lib.deployment")
	}
	d := all[i]
	open, start := d.Func("open"), d.Func("start")
	if open == nil || open.Method || open.Returns != d.Class || open.Params != "p, from" || start == nil || !start.Method {
		t.Errorf("open %+v, start %+v", open, start)
	}
	if !d.Has("to") || !d.Has("switch") || d.Has("open") || d.Field("to").Type != "string[]" {
		t.Errorf("its objects have %q", d.Names())
	}
	for _, l := range all {
		if l.Doc == "" {
			t.Errorf("%s says nothing of itself", l.Name)
		}
		for _, f := range l.Funcs {
			if f.Doc == "" && l.Class != "" {
				t.Errorf("%s.%s says nothing of itself", l.Name, f.Name)
			}
		}
	}
}
