package e2e

import (
	"context"
	"slices"
	"testing"
	"time"
)

// Two people deploy different versions at one time: one after the other, or the
// second is told who is at it. Their effects do not mix, and the last one's version
// is the one that stays.
func TestTwoDeployersDoNotInterleave(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	l := s.load()
	for _, wait := range []string{"0s", "1m", "0s"} {
		first, second := s.begin(append([]string{"--lock-wait", wait}, s.args("1.1")...)...), s.begin(append([]string{"--lock-wait", wait}, s.args("1.2")...)...)
		a, b := first(), second()
		last := map[bool]string{true: "1.1", false: "1.2"}
		switch {
		case a.Code == 0 && b.Code == 0:
			s.serves(last[a.LastEffect.After(b.LastEffect)], 1)
		case a.Code == 0 && b.Err != nil && b.Err.Kind == "conflict" && wait == "0s":
			s.mentions(b.Err.Message, s.app+" is locked by run ")
			s.serves("1.1", 1)
		case b.Code == 0 && a.Err != nil && a.Err.Kind == "conflict" && wait == "0s":
			s.mentions(a.Err.Message, s.app+" is locked by run ")
			s.serves("1.2", 1)
		default:
			t.Fatalf("want successes one after the other, or one conflict:\n%s\n%s", a, b)
		}
		if a.LastEffect.After(b.FirstEffect) && b.LastEffect.After(a.FirstEffect) {
			t.Errorf("their effects are mixed:\n%s\n%s", a, b)
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

// A run has the app until its end: whoever comes meanwhile is told who is at it,
// and changes nothing.
func TestWhoeverComesMeanwhileIsToldByWhom(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	wait := s.begin(s.args("1.1", "env=READY_AFTER=9s")...)
	s.eventually("the slow container", func() bool { return len(s.running("1.1")) == 1 })
	r := s.refuse("conflict", "1.2")
	s.mentions(r.Err.Message, s.app+" is locked by run ", " on ")
	if r.Effects != 0 || r.Took > 8*time.Second {
		t.Errorf("%d effects: %s", r.Effects, r)
	}
	if r := wait(); r.Code != 0 {
		t.Fatal(r)
	}
	s.serves("1.1", 1)
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
