package app

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The plan is shown whole, then what is different, then an error, then that it is
// the same as the last good one.
func TestWatchShowsWhatASaveChanges(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "deploy.lua")
	save := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const first, second = `local p = params{key = {required = true}}
redis.connect():set(p.key, "1")`, `local p = params{key = {required = true}}
redis.connect():set(p.key, "1")
redis.connect():set("another", "1")`
	save(first)
	out, in := io.Pipe()
	c := &watchCmd{newRunner(&invocation{env: Env{Stdout: in, Stderr: in, Getenv: func(string) string { return "" }}, abort: context.Background()})}
	c.flags.groups()
	c.flags.rehearsal.world = "empty"
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- c.watch(ctx, file, []string{"key=one"})
		in.Close()
	}()
	lines := bufio.NewScanner(out)
	until := func(want string) string {
		t.Helper()
		var seen strings.Builder
		for lines.Scan() {
			seen.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), want) {
				return seen.String()
			}
		}
		t.Fatalf("it ended without %q:\n%s", want, seen.String())
		return ""
	}
	until("plan for " + file + " key=one")
	until("1 to add")
	save(second)
	if text := until("2 to add"); !strings.Contains(text, "deploy.lua changed") || !strings.Contains(text, "+  + redis.set another") || strings.Contains(text, "sha256") {
		t.Errorf("the change is shown as\n%s", text)
	}
	save("params{")
	until("unexpected symbol near")
	save(second + " ")
	until("the plan is the same")
	stop()
	go func() {
		for lines.Scan() {
		}
	}()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
