package spec

import (
	"slices"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// shared are the globals that specs have in common with recipes.
var shared = []string{"try", "fail", "require", "sha256"}

// notHere says what stands in place of a recipe's function that a spec does not
// have.
var notHere = map[string]string{
	"docker": "a world has a connection: local w = world{...}; w.docker:inspect(\"app\")",
	"redis":  "a world has a connection: local w = world{...}; w.redis:get(\"key\")",
	"http":   "a world answers: local w = world{...}; w:get(\"http://appserver/\")",
	"sleep":  "a world's time passes at once: w:advance(\"30s\")",
	"now":    "a world has a time of its own: w:now()",
	"step":   "call the function itself",
	"defer":  "after_each, teardown and finally tidy up",
}

// borrowed returns the modules of recipes as specs have them: what asks a server
// is refused, in words; the types stay, for the connections of a world.
func (f *file) borrowed() []runtime.Module {
	var all []runtime.Module
	for _, m := range f.opts.Modules {
		switch m.Name {
		case "json", "log":
		default:
			funcs := slices.Clone(m.Funcs)
			changed := false
			for i, fn := range funcs {
				if m.Name == "" && slices.Contains(shared, fn.Name) {
					continue
				}
				changed = true
				funcs[i] = refused(m.Name, fn)
			}
			m.Funcs = funcs
			if changed && m.Name != "" {
				m.Self = &nothing{}
			}
		}
		all = append(all, m)
	}
	return append(all, runtime.Module{
		Name: "io", Doc: "Is not there.", Self: &nothing{},
		Words: func(string) (*runtime.Func, error) {
			return nil, failure.New(failure.Denied, "a spec opens no files").
				WithHint("require loads Lua files of the project, run:matches_golden compares with one")
		},
	})
}

// nothing is the receiver of refused functions.
type nothing struct{}

type anyArgs struct {
	Args []lua.LValue `lua:"args,rest,asis" doc:"anything"`
}

func refused(module string, f runtime.Func) runtime.Func {
	hint := notHere[module]
	if module == "" {
		hint = notHere[f.Name]
	}
	if hint == "" {
		hint = "it belongs to recipes: w:run(\"recipe.lua\") runs one"
	}
	f.Class = runtime.Pure
	f.Call = runtime.Inline(func(_ any, _ *runtime.Call, _ *anyArgs) (runtime.None, error) {
		return runtime.None{}, failure.New(failure.Denied, "a spec reaches no server and does not wait: use a world").WithHint("%s", hint)
	})
	return f
}
