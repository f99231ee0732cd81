package app_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/app"
	"github.com/mepc/mepc-run/runtime"
)

// hangingProgram is mepc-run with functions that do not come back.
func hangingProgram() {
	os.Exit(app.Main(app.Env{
		Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Version: "1.2.3", Commit: "0123456789abcdef",
		Modules: []runtime.Module{hanging()},
	}, os.Args[1:]))
}

// hangingError does not come to its words.
type hangingError struct{}

func (hangingError) Error() string {
	hangs()
	select {}
}

// hangs limits a test's wait.
func hangs() { fmt.Fprintln(os.Stderr, "00:00:00 hangs") }

func hanging() runtime.Module {
	type none = runtime.None
	var held sync.Mutex
	held.Lock()
	return runtime.Module{
		Name: "hang", Doc: "For tests.", Self: &held,
		Funcs: []runtime.Func{
			{Name: "spin", Doc: "Loops.", Call: runtime.Inline(func(_ *sync.Mutex, _ *runtime.Call, _ *none) (none, error) {
				hangs()
				for i := 0; ; i++ {
				}
			})},
			{Name: "lock", Class: runtime.Write, Doc: "Waits for a lock.", Call: runtime.Effect(func(m *sync.Mutex, _ context.Context, _ *none) (none, error) {
				hangs()
				m.Lock()
				return none{}, nil
			})},
			{Name: "gate", Class: runtime.Read, Doc: "Hangs in the text of its error.", Call: runtime.Effect(func(_ *sync.Mutex, _ context.Context, _ *none) (none, error) {
				return none{}, hangingError{}
			})},
		},
	}
}

// TestTheProcessEndsWhateverHangs hangs in Go code, in a loop, behind a lock, and where
// an error is written: after --timeout and --grace, and at the second signal, the
// process ends by itself, its journal has an end, and what could be undone is.
func TestTheProcessEndsWhateverHangs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		hang    string
		signals int
		undone  bool
	}{
		{"hang.spin()", 0, true},
		{"hang.lock()", 0, true},
		{"hang.gate()", 0, true},
		{"hang.spin()", 2, false},
		{"hang.gate()", 2, false},
		{"parallel{hang.lock, hang.spin}", 2, false},
		{"hang.spin() params{}", 2, false}, // hangs before the run has begun
	} {
		t.Run(fmt.Sprint(tc.hang, tc.signals), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, "r.lua"), `defer("back", function() log("was undone") end) log("now") `+tc.hang)
			args := []string{"r.lua", "--state", "state", "--grace", "1s"}
			if tc.signals == 0 {
				args = append(args, "--timeout", "1s")
			}
			p := launch(t, exec.Command("mepc-run-hangs", args...), dir)
			p.waitFor("hangs")
			for range tc.signals {
				p.signal(syscall.SIGTERM)
				time.Sleep(50 * time.Millisecond) // two at once may be one
			}
			want := 13
			if tc.signals > 0 {
				want = 130
			}
			start := time.Now()
			out := p.wait(want)
			t.Logf("%s\n%s", time.Since(start), out)
			if strings.Contains(tc.hang, "params") {
				return
			}
			if !strings.Contains(out, "this is a bug in mepc-run: please report it, with the file "+dir) && !strings.Contains(out, "with the file state/bugs") {
				t.Errorf("it does not name a report:\n%s", out)
			}
			if strings.Contains(out, "was undone") != tc.undone {
				t.Errorf("undone: %v\n%s", !tc.undone, out)
			}
			ended, _ := filepath.Glob(filepath.Join(dir, "state", "runs", "*.jsonl"))
			if len(ended) != 1 {
				t.Errorf("the journal has no end: %q", ended)
			}
			bugs, _ := filepath.Glob(filepath.Join(dir, "state", "bugs", "*.txt"))
			if len(bugs) != 1 {
				t.Fatalf("%d reports", len(bugs))
			}
			text, err := os.ReadFile(bugs[0])
			if err != nil || !strings.Contains(string(text), "goroutine ") || !strings.Contains(string(text), "app_test.hang") {
				t.Errorf("%v:\n%s", err, text)
			}
		})
	}
}
