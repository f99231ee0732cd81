package runtime_test

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// shelf is a world that runs can put something on.
type shelf struct{ things []string }

// hand is what the functions get: it knows its shelf.
type hand struct {
	shelf *shelf
	puts  int
}

type putArgs struct {
	Thing string `lua:"thing,pos,required" doc:"what"`
}

func (h *hand) put(_ context.Context, a *putArgs) (int, error) {
	h.puts++
	h.shelf.things = append(h.shelf.things, a.Thing)
	return h.puts, nil
}

func shelfHost() *runtime.Host {
	return runtime.New(runtime.Options{
		Limits: runtime.Limits{HeapBytes: math.MaxUint64},
		Modules: append(stdModules(), runtime.Module{
			Name: "shelf", Doc: "A shelf.", Self: runtime.PerRun(func(s *shelf) *hand { return &hand{shelf: s} }),
			Funcs: []runtime.Func{{Name: "put", Class: runtime.Write, Doc: "Puts.", Call: runtime.Effect((*hand).put)}},
		}),
	})
}

func TestOneHostServesRunsInManyWorldsAtOnce(t *testing.T) {
	host := shelfHost()
	recipe, err := host.LoadString("r.lua", `shelf.put("a") return shelf.put("b")`)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	worlds := make([]shelf, 20)
	for i := range worlds {
		wg.Go(func() {
			res, err := host.Run(t.Context(), recipe, runtime.RunOptions{World: &worlds[i]})
			if err != nil || res.Value != 2.0 { // the hand is this run's own, for all its calls
				t.Errorf("world %d: %v, %v", i, res.Value, err)
			}
		})
	}
	wg.Wait()
	for i, w := range worlds {
		if fmt.Sprint(w.things) != "[a b]" {
			t.Errorf("world %d has %v", i, w.things)
		}
	}
}

func TestARunWithoutTheModulesWorldSaysSo(t *testing.T) {
	host := shelfHost()
	recipe, err := host.LoadString("r.lua", `shelf.put("a")`)
	if err != nil {
		t.Fatal(err)
	}
	_, err = host.Run(t.Context(), recipe, runtime.RunOptions{World: "flat"})
	if failure.KindOf(err) != failure.Internal || failure.As(err).Message != "the module shelf cannot work with a world of type string" {
		t.Errorf("err = %v", err)
	}
}

func TestAllRunsOfARecipeHaveTheSameFiles(t *testing.T) {
	host := shelfHost()
	files := fstest.MapFS{"r.lua": {Data: []byte(`return require("lib")`)}, "lib.lua": {Data: []byte(`return 1`)}}
	result := func(recipe *runtime.Recipe) any {
		t.Helper()
		res, err := host.Run(t.Context(), recipe, runtime.RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return res.Value
	}
	load := func() *runtime.Recipe {
		t.Helper()
		recipe, err := host.LoadFS(files, "r.lua")
		if err != nil {
			t.Fatal(err)
		}
		return recipe
	}
	old := load()
	first := result(old)
	files["lib.lua"] = &fstest.MapFile{Data: []byte(`return 2`)}
	if again, fresh := result(old), result(load()); first != 1.0 || again != 1.0 || fresh != 2.0 {
		t.Errorf("first %v, again %v, loaded again %v", first, again, fresh)
	}
}
