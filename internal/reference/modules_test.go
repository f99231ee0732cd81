package reference_test

import (
	"os"
	"testing"

	"github.com/mepc/mepc-run/internal/reference"
	"github.com/mepc/mepc-run/modules/approve"
	"github.com/mepc/mepc-run/modules/docker"
	"github.com/mepc/mepc-run/modules/http"
	"github.com/mepc/mepc-run/modules/lock"
	"github.com/mepc/mepc-run/modules/on"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/runtime"
)

// documented returns what a recipe can call, all of it.
func documented() []runtime.Module {
	secrets := map[string]func() (string, error){"db_password": func() (string, error) { return "hunter22", nil }}
	return append(std.Modules(std.Options{Secrets: secrets}),
		docker.New(docker.Allow{}),
		redis.New(redis.Allow{}),
		http.New(),
		lock.New(lock.Options{}),
		on.New(),
		approve.New(nil),
	)
}

func TestEveryModuleIsInTheReference(t *testing.T) {
	folders, err := os.ReadDir("../../modules")
	if err != nil {
		t.Fatal(err)
	}
	pages := reference.Markdown(documented())
	for _, f := range folders {
		if f.IsDir() && pages[f.Name()+".md"] == "" {
			t.Errorf("modules/%s is not in the list of this test", f.Name())
		}
	}
}
