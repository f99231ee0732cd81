package e2e

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mepc-run is killed at points spread over a whole deployment. Every time one
// more run, of the same version or of another, ends with exactly one version and
// nothing left of the killed one; and the audience does not notice.
func TestKilledRunIsCompletedByTheNext(t *testing.T) {
	s := shared(t)
	s.deploy("1.0", "keep=0")
	whole := s.deploy("1.1", "keep=0").Took
	l := s.load()
	rounds := sized("E2E_KILLS", 12)
	current := 1
	for i := range rounds {
		next := (current + 1) % len(versions)
		s.kill9After(whole*time.Duration(i)/time.Duration(rounds), s.args(versions[next], "keep=0")...)
		if i%3 == 2 { // the next user may want another version
			next = (next + 1) % len(versions)
		}
		s.deploy(versions[next], "keep=0")
		s.serves(versions[next], 1)
		if n := s.stopped(); n != 0 {
			t.Fatalf("round %d left %v", i, s.containers())
		}
		if i%5 == 0 {
			if r := s.deploy(versions[next], "keep=0"); r.Effects != 0 {
				t.Errorf("round %d: one more run had effects: %s", i, r)
			}
		}
		current = next
	}
	l.end()
}

// kill9After starts mepc-run and kills it as a power cut would.
func (s *stage) kill9After(after time.Duration, args ...string) {
	s.t.Helper()
	cmd := s.command(args...)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	time.Sleep(after)
	_ = cmd.Process.Kill()
	if err := cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		s.t.Fatal(err)
	}
}

// Ctrl-C undoes what was begun, wherever it comes.
func TestInterruptedRunTakesBackWhatItBegan(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	l := s.load()
	before := s.readHipache(s.app).backends
	for _, c := range []struct {
		when   string
		ok     func() bool
		signal os.Signal
		more   []string
		said   []string
	}{
		{"new container", func() bool { return len(s.containers()) == 2 }, syscall.SIGTERM, []string{"env=READY_AFTER=10s"}, []string{"SIGTERM", "was removed"}},
		{
			"switch", func() bool { return s.readHipache(s.app).backends[0] != before[0] }, os.Interrupt,
			[]string{"--router", otherRouter(t)},
			[]string{"Ctrl-C", s.app + " points to " + before[0], "was removed"},
		},
	} {
		s.unchanged(func() {
			var out strings.Builder
			cmd := s.command(s.args("1.1", c.more...)...)
			cmd.Stderr = &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			s.eventually("the "+c.when, c.ok)
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 130 {
				t.Errorf("interrupted at the %s: exit code %d\n%s", c.when, code, out.String())
			}
			s.mentions(out.String(), c.said...)
		})
	}
	l.end()
	s.serves("1.0", 1)
}

// A run that is killed is resumed, with the recipe and the parameters of then.
func TestKilledRunIsResumed(t *testing.T) {
	s := shared(t)
	s.deploy("1.0", "keep=0")
	l := s.load()
	cmd := s.command(s.args("1.1", "keep=0", "env=READY_AFTER=2s")...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.eventually("the new container", func() bool { return len(s.running("1.1")) == 1 })
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	s.mentions(s.exec1("runs"), "cut off")
	if r := s.exec("resume", "--json"); r.Code != 0 {
		t.Fatal(r)
	}
	s.serves("1.1", 1)
	s.mentions(s.exec1("runs"), "resumed")
	if r := s.exec("resume", "--json"); r.Err == nil || r.Err.Kind != "not_found" {
		t.Errorf("resumed once more: %s", r)
	}
	l.end()
}
