package std_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/recipes"
	"github.com/mepc/mepc-run/runtime"
)

// TestExamplesRun runs every example of the tables as a recipe. What they claim
// they assert themselves.
func TestExamplesRun(t *testing.T) {
	modules := std.Modules(std.Options{
		Env:     map[string]string{"REGION": "eu-1"},
		Routers: []string{"http://127.0.0.1:8080"},
		Secrets: map[string]func() (string, error){"db_password": func() (string, error) { return "hunter22", nil }},
	})
	host := runtime.New(runtime.Options{Modules: modules, Library: recipes.FS})
	for _, m := range modules {
		funcs := m.Funcs
		for _, typ := range m.Types {
			funcs = append(funcs, typ.Funcs...)
		}
		for _, f := range funcs {
			name := strings.Trim(m.Name+"."+f.Name, ".")
			t.Run(name, func(t *testing.T) {
				recipe, err := host.LoadFS(fstest.MapFS{
					name + ".lua":         {Data: []byte(f.Example)},
					"app.conf.tmpl":       {Data: []byte("port = ${port}\n")},
					"migrations/01/a.sql": {Data: []byte("create table a;")},
				}, name+".lua")
				if err != nil {
					t.Fatal(err)
				}
				// Examples that wait do so on a clock that jumps.
				_, err = host.Run(t.Context(), recipe, runtime.RunOptions{
					Clock: clock.NewVirtual(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
				})
				if err != nil {
					t.Errorf("%v\n%s", err, f.Example)
				}
			})
		}
	}
}
