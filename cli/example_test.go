package cli_test

import (
	"context"
	"fmt"

	"github.com/mepc/mepc-run/cli"
	"github.com/mepc/mepc-run/runtime"
)

// A team's program is mepc-run with a module of its own: this is all of its main.
func Example() {
	type greetArgs struct {
		Name string `lua:"name,pos,required,target" doc:"who"`
	}
	greet := func(_ any, ctx context.Context, a *greetArgs) (string, error) {
		runtime.Note(ctx, "politely")
		return fmt.Sprintf("hello, %s", a.Name), nil
	}
	cli.Main(runtime.Module{
		Name: "hall", Doc: "The entrance.", Self: runtime.PerRun(func(world any) any { return world }),
		Funcs: []runtime.Func{{Name: "greet", Class: runtime.Read, Doc: "Greets.", Call: runtime.Effect(greet)}},
	})
}
