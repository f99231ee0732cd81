package e2e

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"github.com/mepc/mepc-run/internal/lab"
)

// The shipped specs that say they can hold on a real engine and Redis, too.
func TestSpecsHoldForReal(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", "127.0.0.1:8080"); err != nil {
		t.Skip("the specs' router wants port 8080: ", err)
	} else {
		l.Close()
	}
	l := lab.New(t, lab.Options{})
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"test", "--real", "--docker", l.Engine.Host(), "--redis", l.Redis.URL()}
	test := func(more ...string) (string, error) {
		cmd := exec.Command(path, append(args, more...)...)
		cmd.Dir = ".."
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := test("-v"); err != nil || !strings.Contains(out, " passed in ") {
		t.Errorf("%v\n%s", err, out)
	} else {
		t.Log("\n" + out)
	}

	engine, err := l.Engine.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	store, err := l.Redis.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	containers, err := engine.ContainerList(t.Context(), container.ListOptions{All: true})
	if err != nil || len(containers) > 0 {
		t.Errorf("containers are left: %v, %v", containers, err)
	}
	images, err := engine.ImageList(t.Context(), image.ListOptions{All: true})
	if err != nil || len(images) > 0 {
		t.Errorf("images are left: %v, %v", images, err)
	}
	if n, err := store.DBSize(t.Context()).Result(); err != nil || n > 0 {
		t.Errorf("%d keys are left: %v", n, err)
	}

	if err := store.Set(t.Context(), "somebody", "else", 0).Err(); err != nil {
		t.Fatal(err)
	}
	out, err := test()
	if err == nil || !strings.Contains(out, "has 1 keys: tests remove all there are") {
		t.Errorf("a Redis that is somebody's: %v\n%s", err, out)
	}
}
