package e2e

import (
	"slices"
	"testing"

	"github.com/mepc/mepc-run/internal/lab"
)

// durable is a Redis that loses nothing when it is killed, as one that holds
// routing lists should be.
var durable = lab.RedisOptions{Args: []string{"appendonly yes", "appendfsync always"}}

// Redis goes away after the new container was started, before the switch.
func TestRedisGoesAwayBeforeTheSwitch(t *testing.T) {
	s, l := own(t, lab.Options{Redis: durable})
	s.deploy("1.0")
	audience := s.load()
	for _, fault := range []struct {
		name      string
		hit, mend func() error
	}{
		{"killed", l.Redis.Kill9, func() error { return l.Redis.Restart(t.Context()) }},
		{"hangs", l.Redis.Pause, l.Redis.Resume},
	} {
		t.Run(fault.name, func(t *testing.T) {
			s.t = t
			before := s.readHipache(s.app)
			wait := s.begin(s.args("1.1", "env=READY_AFTER=1s")...)
			s.eventually("the new container", func() bool { return len(s.running("1.1")) == 1 })
			if err := fault.hit(); err != nil {
				t.Fatal(err)
			}
			r := wait()
			if err := fault.mend(); err != nil {
				t.Fatal(err)
			}
			if r.Err == nil || !slices.Contains([]string{"unavailable", "timeout"}, r.Err.Kind) {
				t.Fatalf("want an error of kind unavailable or timeout: %s", r)
			}
			// Whether the container has traffic cannot be known: it is left, and said.
			s.mentions(r.Err.State, "FAILED", "1.1")
			if now := s.readHipache(s.app); !slices.Equal(now.backends, before.backends) {
				t.Errorf("the list was %v and is %v", before.backends, now.backends)
			}
			s.deploy("1.1", "env=READY_AFTER=1s")
			s.serves("1.1", 1)
			s.deploy("1.0", "keep=0")
		})
	}
	s.t = t
	audience.end()
}

// The engine hangs while the new container comes up, and is itself again later.
func TestEngineHangs(t *testing.T) {
	s, l := own(t, lab.Options{})
	s.deploy("1.0")
	audience := s.load()
	s.eventually("traffic", func() bool { audience.mu.Lock(); defer audience.mu.Unlock(); return audience.served > 20 })
	wait := s.begin(append([]string{"--timeout", "4s", "--grace", "3s"}, s.args("1.1", "env=READY_AFTER=3s")...)...)
	s.eventually("the new container", func() bool { return len(s.running("1.1")) == 1 })
	if err := l.Engine.Pause(); err != nil {
		t.Fatal(err)
	}
	r := wait()
	if err := l.Engine.Resume(); err != nil {
		t.Fatal(err)
	}
	if r.Err == nil || r.Err.Kind != "timeout" {
		t.Errorf("want an error of kind timeout: %s", r)
	} else {
		s.mentions(r.Err.State, "take "+s.app+"-1.1-", "undoing took longer than 3s")
	}
	s.deploy("1.1", "env=READY_AFTER=3s")
	audience.end()
	s.serves("1.1", 1)
}

// dockerd is killed and comes back: addresses may have changed hands, and kept
// containers may run again. One more run puts it right.
func TestEngineRestarts(t *testing.T) {
	s, l := own(t, lab.Options{})
	s.deploy("1.0")
	s.deploy("1.1", "replicas=2")
	if err := l.Engine.Kill9(); err != nil {
		t.Fatal(err)
	}
	if err := l.Engine.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.eventually("the containers", func() bool { return len(s.running("1.1")) == 2 })
	s.deploy("1.1", "replicas=2")
	s.serves("1.1", 2)
	if r := s.deploy("1.1", "replicas=2"); r.Effects != 0 {
		t.Errorf("one more run had effects: %s", r)
	}
}
