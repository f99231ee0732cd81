package runtime

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// All that a recipe returns is its value.
func TestAllThatARecipeReturnsIsShown(t *testing.T) {
	h := New(Options{})
	for src, want := range map[string]any{
		`return`:                   nil,
		`return nil`:               nil,
		`return "a"`:               "a",
		`return nil, "it failed"`:  []any{nil, "it failed"},
		`return 1, {a = true}, {}`: []any{1.0, map[string]any{"a": true}, map[string]any{}},
	} {
		recipe, err := h.LoadString("r.lua", src)
		if err != nil {
			t.Fatal(err)
		}
		res, err := h.Run(t.Context(), recipe, RunOptions{})
		if diff := cmp.Diff(want, res.Value); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", src, err, diff)
		}
	}
	recipe, err := h.LoadString("r.lua", `return "a", print`)
	if err != nil {
		t.Fatal(err)
	}
	res, err := h.Run(t.Context(), recipe, RunOptions{})
	list, _ := res.Value.([]any)
	if err != nil || len(list) != 2 || list[0] != "a" {
		t.Fatalf("%v, %v", res.Value, err)
	}
	if text, _ := list[1].(string); !strings.HasPrefix(text, "(") {
		t.Errorf("what cannot be shown is shown as %v", list[1])
	}
}
