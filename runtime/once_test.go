package runtime_test

import (
	"testing"

	"github.com/mepc/mepc-run/runtime"
)

type memo map[string]any

func (m memo) Recall(name string) (any, bool)    { v, ok := m[name]; return v, ok }
func (m memo) Keep(name string, value any) error { m[name] = value; return nil }

func TestAStepThatIsDoneOnceIsNotRepeatedByAResumedRun(t *testing.T) {
	host := runtime.New(runtime.Options{Modules: stdModules()})
	recipe, err := host.LoadString("once.lua", `
local n = 0
local got = step("outer", function()
  return step("migrate", function() n = n + 1 return {version = 7} end, {once = true})
end)
return n .. " " .. got.version`)
	if err != nil {
		t.Fatal(err)
	}
	kept := memo{}
	for _, want := range []string{"1 7", "0 7"} {
		res, err := host.Run(t.Context(), recipe, runtime.RunOptions{Memo: kept})
		if err != nil || res.Value != want {
			t.Errorf("%v, %v, want %s", res.Value, err, want)
		}
	}
	if _, ok := kept["outer > migrate"]; !ok {
		t.Errorf("kept %v", kept)
	}
}
