package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A run that is killed, wherever it was, is undone: the previous release has
// the traffic, nothing is left of the other, and the audience does not notice.
func TestKilledRunIsTakenBack(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	l := s.load()
	for _, c := range []struct {
		when string
		more []string
		ok   func(before []string) bool
	}{
		{"new container", []string{"env=READY_AFTER=20s"}, func([]string) bool { return len(s.running("1.1")) == 1 }},
		{"switch", []string{"drain=2s"}, func(before []string) bool { return !slices.Equal(s.readHipache(s.app).backends, before) }},
		{"stop of the old one", nil, func([]string) bool { return strings.Contains(s.journals(), `"op":"docker.stop"`) }},
	} {
		// A container that was stopped may come back with another address: serves
		// compares the list with where it is.
		world := func() string { return fmt.Sprint(s.containers(), s.images()) }
		was, before := world(), s.readHipache(s.app).backends
		func() {
			if c.more == nil { // a request that the stop waits for
				wait := get(before[0] + "/slow?ms=3000")
				defer wait()
			}
			cmd := s.command(s.args("1.1", c.more...)...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			s.eventually("the "+c.when, func() bool { return c.ok(before) })
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			s.mentions(s.exec1("abort", "-n"), s.app+"-1.1-")
			if r := s.exec("abort", "--json"); r.Code != 0 {
				t.Fatalf("killed at the %s: %s", c.when, r)
			}
			s.mentions(s.exec1("runs"), "aborted")
		}()
		if now := world(); now != was {
			t.Errorf("killed at the %s: the world was\n%s\nand is\n%s", c.when, was, now)
		}
		s.serves("1.0", 1)
	}
	if r := s.exec("abort", "--json"); r.Err == nil || r.Err.Kind != "not_found" {
		t.Errorf("undone once more: %s", r)
	}
	l.end()
}

// journals are those of runs that have not ended.
func (s *stage) journals() string {
	var all strings.Builder
	files, _ := filepath.Glob(filepath.Join(s.state, "runs", "*.open"))
	for _, f := range files {
		text, _ := os.ReadFile(f) // it may have ended
		all.Write(text)
	}
	return all.String()
}

// get asks for url; the function returned waits for the answer.
func get(url string) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if res, err := http.Get(url); err == nil {
			res.Body.Close()
		}
	}()
	return func() { <-done }
}
