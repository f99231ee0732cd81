package e2e

import (
	"context"
	"slices"
	"testing"
	"time"
)

// Two to eight people deploy versions of their own at one time: one after the other,
// or they are told who is at it. Their effects do not mix, and the last one's version
// is the one that stays.
func TestDeployersDoNotInterleave(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	l := s.load()
	done := 0
	for round := 0; done < sized("E2E_DEPLOYERS", 10); round++ {
		wait := []string{"0s", "5m"}[round%2]
		var runs []func() *run
		var wanted []string
		for i := range 2 + round*3%7 {
			wanted = append(wanted, versions[(round+i)%len(versions)])
			runs = append(runs, s.begin(append([]string{"--lock-wait", wait}, s.args(wanted[i], "keep=0")...)...))
		}
		done += len(runs)
		type deployment struct {
			*run
			version string
		}
		var effective []deployment
		ok := 0
		for i, end := range runs {
			r := end()
			switch {
			case r.Code == 0 && r.Effects > 0:
				effective = append(effective, deployment{r, wanted[i]})
				ok++
			case r.Code == 0:
				ok++
			case wait == "0s" && r.Err != nil && r.Err.Kind == "conflict":
				s.mentions(r.Err.Message, s.app+" is locked by run ")
			default:
				t.Fatalf("round %d: want a success, or a conflict where nobody waits: %s", round, r)
			}
		}
		if ok == 0 || wait != "0s" && ok < len(runs) {
			t.Fatalf("round %d: %d of %d came to their end", round, ok, len(runs))
		}
		slices.SortFunc(effective, func(a, b deployment) int { return a.FirstEffect.Compare(b.FirstEffect) })
		for i, d := range effective {
			if i > 0 && effective[i-1].LastEffect.After(d.FirstEffect) {
				t.Errorf("round %d: their effects are mixed:\n%s\n%s", round, effective[i-1], d)
			}
			if i == len(effective)-1 {
				s.serves(d.version, 1)
			}
		}
	}
	l.end()
	t.Logf("%d deployments", done)
}

// The same deployment twice at one time, as a double click does it.
func TestTwoOfTheSameDoNoHarm(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	l := s.load()
	for _, version := range []string{"1.1", "1.2", "1.3"} {
		args := append(s.args(version, "replicas=2"), "--lock-wait", "2m") // however slow the machine is
		first, second := s.begin(args...), s.begin(args...)
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

// A run has the app until its end: anyone who comes meanwhile is told who has it,
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
