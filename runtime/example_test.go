package runtime_test

import (
	"context"
	"fmt"

	"github.com/mepc/mepc-run/runtime"
)

// A program embeds recipes with a module of its own: a table of Go functions
// whose argument structs say what they take.
func Example() {
	type ringArgs struct {
		Name  string `lua:"name,pos,required,target" doc:"which bell"`
		Times int    `lua:"times" default:"1" min:"1" max:"3" doc:"how often"`
	}
	bells := runtime.Module{
		Name: "bell", Doc: "Bells.", Self: "tower",
		Funcs: []runtime.Func{{
			Name: "ring", Class: runtime.Write, Doc: "Rings a bell.",
			Call: runtime.Effect(func(tower string, _ context.Context, a *ringArgs) (string, error) {
				return fmt.Sprintf("%s: %s x%d", tower, a.Name, a.Times), nil
			}),
		}},
	}
	host := runtime.New(runtime.Options{Modules: []runtime.Module{bells}})
	recipe, err := host.LoadString("noon.lua", `return bell.ring("Emma", {times = 2})`)
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := host.Run(context.Background(), recipe, runtime.RunOptions{})
	fmt.Println(res.Value, res.Effects, err)

	wrong, _ := host.LoadString("wrong.lua", `bell.ring("Emma", {time = 2})`)
	_, err = host.Run(context.Background(), wrong, runtime.RunOptions{})
	fmt.Println(err)
	// Output:
	// tower: Emma x2 1 <nil>
	// bell.ring: unknown option "time"; did you mean "times"?
}
