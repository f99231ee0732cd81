package e2e

import (
	"bytes"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A run that is killed leaves its lock. The next user, on another machine,
// takes it over, and says so; on the same machine it knows at once.
func TestTheLockOfAKilledRunIsTakenOver(t *testing.T) {
	s := shared(t)
	s.deploy("1.0", "keep=0")
	l := s.load()
	for _, same := range []bool{true, false} {
		cmd := s.command(s.args("1.1", "env=READY_AFTER=30s")...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s.eventually("the new container", func() bool { return len(s.running("1.1")) == 1 })
		_ = cmd.Process.Kill()
		killed := time.Now()
		_ = cmd.Wait()
		limit := 17 * time.Second
		if same {
			limit = 3 * time.Second
		} else {
			s.state = t.TempDir()
		}
		begun := time.Now()
		r := s.deploy("1.2", "keep=0")
		first := r.FirstEffect
		t.Logf("same machine %v: first effect %s after the kill", same, first.Sub(killed).Round(time.Millisecond))
		if first.Sub(killed) > limit {
			t.Errorf("taken over after %s, from its start %s", first.Sub(killed), first.Sub(begun))
		}
		shown := s.exec1("show")
		s.mentions(shown, "taken over from run ")
		if same {
			s.mentions(r.Stderr, "was cut off in step start "+s.app+"-1.1")
		}
		s.serves("1.2", 1)
		s.deploy("1.0", "keep=0")
	}
	l.end()
}

// A run that is stopped for a while, as a laptop that sleeps, and that somebody
// else has overtaken meanwhile, is refused when it wakes up.
func TestARunThatSleptIsRefused(t *testing.T) {
	s := shared(t)
	s.deploy("1.0", "keep=0")
	l := s.load()
	var out, errs bytes.Buffer
	cmd := s.command(s.args("1.1", "env=READY_AFTER=3s")...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.eventually("the new container", func() bool { return len(s.running("1.1")) == 1 })
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.state = t.TempDir() // another machine
	s.deploy("1.2", "keep=0")
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	r := &run{Stdout: out.String(), Stderr: errs.String(), Code: cmd.ProcessState.ExitCode()}
	r.decode(t)
	if r.Code == 0 {
		t.Errorf("it went on: %s", r)
	}
	for _, c := range r.Calls {
		if strings.HasPrefix(c.Op, "redis.") && c.Outcome != "refused" {
			t.Errorf("it changed the routing: %+v", c)
		}
	}
	s.serves("1.2", 1)
	l.end()
}

// exec1 runs a command that only reads, and returns what it prints.
func (s *stage) exec1(args ...string) string {
	s.t.Helper()
	out, err := s.command(args...).Output()
	if err != nil {
		s.t.Fatal(err)
	}
	return string(out)
}
