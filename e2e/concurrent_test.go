package e2e

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// Two people deploy different versions at one time.
func TestOfTwoDeployersOneWins(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	l := s.load()
	for range 3 {
		first, second := s.begin(s.args("1.1")...), s.begin(s.args("1.2")...)
		a, b := first(), second()
		winner, loser, version, other := a, b, "1.1", "1.2"
		if a.Code != 0 {
			winner, loser, version, other = b, a, "1.2", "1.1"
		}
		if winner.Code != 0 || loser.Err == nil || loser.Err.Kind != "conflict" {
			t.Fatalf("want one success and one conflict:\n%s\n%s", a, b)
		}
		s.mentions(loser.Err.Message, "is not deployed")
		s.serves(version, 1)
		for name := range s.containers() {
			if strings.HasPrefix(name, s.app+"-"+other) {
				t.Errorf("the loser left %s: %s", name, loser)
			}
		}
		s.deploy("1.0", "keep=0")
		s.serves("1.0", 1)
	}
	l.end()
}

// The same deployment twice at one time, as a double click does it.
func TestTwoOfTheSameDoNoHarm(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	l := s.load()
	for _, version := range []string{"1.1", "1.2", "1.3"} {
		first, second := s.begin(s.args(version, "replicas=2")...), s.begin(s.args(version, "replicas=2")...)
		a, b := first(), second()
		if a.Code != 0 || b.Code != 0 {
			t.Fatalf("want two successes:\n%s\n%s", a, b)
		}
		s.serves(version, 2)
	}
	l.end()
}

// Someone edits the list by hand while a run waits for its container.
func TestEditedListIsAConflict(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	wait := s.begin(s.args("1.1", "env=READY_AFTER=1s")...)
	s.eventually("the new container", func() bool { return len(s.running("1.1")) == 1 })
	if err := s.store.RPush(t.Context(), "frontend:"+s.app, "http://127.0.0.1:9").Err(); err != nil {
		t.Fatal(err)
	}
	r := wait()
	if r.Err == nil || r.Err.Kind != "conflict" {
		t.Fatalf("want a conflict: %s", r)
	}
	s.mentions(r.Err.Message, "changed by someone else", "http://127.0.0.1:9")
	if n := len(s.running("1.1")); n != 0 {
		t.Errorf("the loser's container was left: %v", s.containers())
	}
	s.deploy("1.1")
	s.serves("1.1", 1)
}

// Whoever begins later has the app: the later run stops the container that the
// earlier one still waits for, and the earlier one is told by whom.
func TestSlowDeployerIsToldByWhom(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	wait := s.begin(s.args("1.1", "env=READY_AFTER=6s")...)
	s.eventually("the slow container", func() bool { return len(s.running("1.1")) == 1 })
	s.deploy("1.2")
	r := wait()
	if r.Err == nil || r.Err.Kind != "conflict" {
		t.Fatalf("want a conflict: %s", r)
	}
	s.mentions(r.Err.Message, s.app+"-1.1-", "is not deployed: "+s.app+"-1.2-")
	s.serves("1.2", 1)
}

func TestTwoHostsOfOneApp(t *testing.T) {
	s := shared(t)
	other := s.app + "-www"
	t.Cleanup(func() { s.store.Del(context.Background(), "frontend:"+other) })
	s.deploy("1.0")
	s.deploy("1.0", "host="+other)
	r := s.deploy("1.1")
	old := s.running("1.0")
	if len(old) != 1 {
		t.Fatalf("%s still points to 1.0, which does not run: %v", other, s.containers())
	}
	s.mentions(r.Stderr, old[0]+" is left running: "+other+" points to it")
	if r := s.deploy("1.1"); r.Effects != 0 {
		t.Errorf("a second run had effects: %s", r)
	}
	s.deploy("1.1", "host="+other)
	s.serves("1.1", 1)
	if h := s.readHipache(other); !slices.Equal(h.backends, s.readHipache(s.app).backends) {
		t.Errorf("the lists differ: %+v", h)
	}
}
