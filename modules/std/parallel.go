package std

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/runtime"
)

func (s *Std) parallel() runtime.Module {
	return runtime.Module{
		Name: "parallel", Self: s,
		Doc: "Branches that run side by side. Exactly one runs Lua at a time; the others wait for servers meanwhile. " +
			"No branch outlives the call.",
		Funcs: []runtime.Func{
			{
				Name:    "",
				Doc:     "Runs functions in branches. The first error ends the others and is raised.",
				Returns: "a list of each function's first result, in the order of the functions",
				Example: `local r = parallel{
  function() return "a" end,
  function() return "b" end,
}
assert(r[1] == "a" and r[2] == "b")`,
				Call: runtime.Inline((*Std).parallelCall),
			},
			{
				Name: "map",
				Doc: "Calls a function for each item of a list, in branches. With on_error=\"collect\" each branch ends by itself, " +
					"and the errors are returned instead of raised.",
				Returns: "a list of the first results, and with on_error=\"collect\" a table of the errors by index",
				Example: `local doubled = parallel.map({1, 2, 3}, function(n) return 2 * n end, {limit=2})
assert(doubled[3] == 6)`,
				Call: runtime.Inline((*Std).parallelMap),
			},
		},
	}
}

type parallelArgs struct {
	Fns []*runtime.Function `lua:"functions,pos,required" doc:"what to run"`
}

func (s *Std) parallelCall(c *runtime.Call, a *parallelArgs) (any, error) {
	values, _, err := c.Parallel(a.Fns, nil, 0, false)
	return values, err
}

type mapArgs struct {
	Items   []lua.LValue      `lua:"items,pos,required,asis" doc:"a list of any values"`
	Fn      *runtime.Function `lua:"fn,pos,required" doc:"gets the item and its index"`
	Limit   int               `lua:"limit" default:"0" min:"0" doc:"how many run at once; 0: all"`
	OnError string            `lua:"on_error" default:"cancel" enum:"cancel|collect" doc:"what the first error does"`
}

func (s *Std) parallelMap(c *runtime.Call, a *mapArgs) (runtime.Results, error) {
	fns, args := make([]*runtime.Function, len(a.Items)), make([][]any, len(a.Items))
	for i, item := range a.Items {
		fns[i], args[i] = a.Fn, []any{item, i + 1}
	}
	collect := a.OnError == "collect"
	values, errs, err := c.Parallel(fns, args, a.Limit, collect)
	if err != nil || !collect {
		return runtime.Results{values}, err
	}
	failed := &lua.LTable{Metatable: lua.LNil}
	for i, err := range errs {
		if err == nil {
			continue
		}
		e := runtime.Catch(err)
		if e == nil {
			return nil, fmt.Errorf("branch %d: %w", i+1, err)
		}
		failed.RawSetInt(i+1, c.Value(e))
	}
	return runtime.Results{values, failed}, nil
}
