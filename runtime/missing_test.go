package runtime_test

import (
	"context"
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// store is what shop.open gives.
type store struct{}

// shop is a module whose objects have methods, one of them made as it is asked for.
func shop() runtime.Module {
	get := runtime.Func{
		Name: "get", Class: runtime.Read, Doc: "Reads.",
		Call: runtime.Effect(func(*store, context.Context, *runtime.None) (string, error) { return "x", nil }),
	}
	return runtime.Module{
		Name: "shop", Self: "self",
		Funcs: []runtime.Func{{
			Name: "open", Doc: "Opens.",
			Call: runtime.Inline(func(string, *runtime.Call, *runtime.None) (*store, error) { return &store{}, nil }),
		}},
		Types: []runtime.Type{{
			Name: "shop.store", Of: (*store)(nil), Funcs: []runtime.Func{get},
			Method: func(name string) (*runtime.Func, error) {
				if strings.HasPrefix(name, "l") {
					return &get, nil
				}
				return nil, failure.New(failure.Invalid, "no command %s", name)
			},
		}},
	}
}

func TestAMethodThatIsAskedOfTheModuleIsExplained(t *testing.T) {
	host := runtime.New(runtime.Options{Modules: []runtime.Module{shop()}})
	for src, want := range map[string]struct{ message, hint string }{
		`shop.get("a")`:  {`shop has no function "get"`, "get is a method of what shop.open returns: local s = shop.open(); s:get(...)"},
		`shop.lget("a")`: {`shop has no function "lget"`, "lget is a method of what shop.open returns: local s = shop.open(); s:lget(...)"},
		`shop.opne()`:    {`shop has no function "opne"; did you mean "open"?`, ""},
	} {
		recipe, err := host.LoadString("t.lua", src)
		if err != nil {
			t.Fatal(err)
		}
		_, err = host.Run(t.Context(), recipe, runtime.RunOptions{})
		e := failure.As(err)
		if e == nil || e.Message != want.message || e.Hint != want.hint || e.Kind != failure.Invalid || e.Where != "t.lua:1" {
			t.Errorf("%s: %+v", src, e)
		}
	}
}

func TestTryGoesUpToTheFirstCall(t *testing.T) {
	host := runtime.New(runtime.Options{Modules: []runtime.Module{shop()}})
	for src, want := range map[string]string{
		`shop.open():get() error("late")`:                                  "",
		`pcall(function() shop.open():get() end) error("swallowed")`:       "",
		`local s = shop.open() error("early")`:                             "early",
		`return {}`:                                                        "",
		`local function f() return shop.open():get() end return {f = f()}`: "",
	} {
		recipe, err := host.LoadString("t.lua", src)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := host.Try(t.Context(), recipe, nil); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", src, got, want)
		}
	}
}
