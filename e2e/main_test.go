// Package e2e tests the recipes as their users have them: the program, built
// once, against a real Docker engine and a real Redis, under traffic through a
// router. Each test looks at what is left in the end: the routing list, the
// containers, the images, and what clients saw. Start with stage_test.go.
//
// More than fits into make test is done with these, and by make matrix:
//
// E2E_MATRIX=all does every fault of TestMatrix to every effect; without, each once.
// E2E_REDEPLOYS is the number of redeploys in TestRedeploysUnderLoad; default 10.
// E2E_KILLS is the number of runs that TestKilledRunIsCompletedByTheNext kills; default 20.
// E2E_DEPLOYERS is the minimum number of runs in TestDeployersDoNotInterleave; default 10.
// E2E_TRAEFIK names a Traefik for TestTraefikUnderLoad; without it that is skipped.
// E2E_PROGRAM names a mepc-run to test in place of one built from this tree.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/lab"
)

func TestMain(m *testing.M) {
	code := lab.Main(m)
	if dir := filepath.Dir(built); built != "" {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// built is the path at which program has put mepc-run, or "".
var built string

// program builds mepc-run, once, and returns its path.
var program = sync.OnceValues(func() (string, error) {
	if given := os.Getenv("E2E_PROGRAM"); given != "" {
		return given, nil
	}
	dir, err := os.MkdirTemp("", "mepc-e2e-")
	if err != nil {
		return "", err
	}
	built = filepath.Join(dir, "mepc-run")
	build := exec.Command("go", "build", "-trimpath", "-o", built, "../cmd/mepc-run")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build does
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build mepc-run: %w\n%s", err, out)
	}
	return built, nil
})

// versions of the sample app that the tests deploy, oldest first.
var versions = []string{"1.0", "1.1", "1.2", "1.3"}

// buildSamples builds them in the lab, once.
var buildSamples sync.Once

func samples(t *testing.T, l *lab.Lab) {
	t.Helper()
	buildSamples.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := lab.SampleImages(ctx, l.Engine, versions...); err != nil {
			t.Error(err)
		}
	})
}

// sized returns the number that the environment gives, or the one for make test.
func sized(variable string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		return n
	}
	return otherwise
}
