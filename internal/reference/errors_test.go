package reference_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/reference"
	"github.com/mepc/mepc-run/runtime"
)

// TestErrorsHaveTheFieldsOfThePage raises an error that has everything.
func TestErrorsHaveTheFieldsOfThePage(t *testing.T) {
	type args struct {
		Name string `lua:"name,pos,target" doc:"anything"`
	}
	m := runtime.Module{Name: "bad", Doc: "Fails.", Self: "self", Funcs: []runtime.Func{{
		Name: "call", Class: runtime.Write, Doc: "Fails.",
		Call: runtime.Effect(func(string, context.Context, *args) (runtime.None, error) {
			return runtime.None{}, &runtime.Error{
				Kind: failure.Refused, Message: "no", Hint: "do not", State: "as before",
				Details: "line\nline", Retryable: true,
			}
		}),
	}}}
	host := runtime.New(runtime.Options{Modules: append(documented(), m)})
	recipe, err := host.LoadString("t.lua", `
local _, err = try(bad.call, "x")
local fields = {}
for name, value in pairs(err) do fields[name] = type(value) end
return fields`)
	if err != nil {
		t.Fatal(err)
	}
	res, err := host.Run(t.Context(), recipe, runtime.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{}
	for _, f := range reference.ErrorFields() {
		want[f.Name] = f.Type
	}
	if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(res.Value)); diff != "" {
		t.Errorf("the page and an error differ (-page +error):\n%s", diff)
	}
}
