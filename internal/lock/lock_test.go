package lock_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/lock"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
)

// stand is a place of locks whose time is a virtual clock.
type stand struct {
	lock.Place
	clock *clock.Virtual
	world *sim.World
}

// everywhere runs the test with each kind of place.
func everywhere(t *testing.T, f func(t *testing.T, s *stand)) {
	t.Run("redis", func(t *testing.T) {
		w, err := sim.New(sim.Options{})
		if err != nil {
			t.Fatal(err)
		}
		c := redis.NewClient(&redis.Options{Dialer: w.DialRedis, MaxRetries: -1, ContextTimeoutEnabled: true, DisableIdentity: true})
		t.Cleanup(func() { c.Close(); w.Close() })
		f(t, &stand{lock.InRedis(c, "redis", w.Clock(), nil), w.Clock().(*clock.Virtual), w})
	})
	t.Run("files", func(t *testing.T) {
		clk := clock.NewVirtual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		f(t, &stand{lock.InFiles(filepath.Join(t.TempDir(), "locks"), clk), clk, nil})
	})
}

func (s *stand) request(owner string) lock.Request {
	return lock.Request{App: "shop", Clock: s.clock, Holder: lock.Holder{Owner: owner, Who: owner, Host: "h"}}
}

func (s *stand) take(t *testing.T, q lock.Request) *lock.Keeper {
	t.Helper()
	k, _, err := lock.Take(t.Context(), s, q)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func write(t *testing.T, k *lock.Keeper) error {
	return k.Allow(t.Context(), &effect.Op{Class: effect.Write})
}

func TestAHolderThatLivesIsNamedAndKeepsItsLock(t *testing.T) {
	everywhere(t, func(t *testing.T, s *stand) {
		k := s.take(t, s.request("alice"))
		begun := s.clock.Now()
		_, _, err := lock.Take(t.Context(), s, s.request("bob"))
		if failure.KindOf(err) != failure.Conflict || !strings.Contains(err.Error(), "run alice of alice on h") {
			t.Fatalf("%v", err)
		}
		if waited := s.clock.Now().Sub(begun); waited > lock.Renewal+time.Second {
			t.Errorf("it took %s to see that alice lives", waited)
		}
		for _, d := range []time.Duration{time.Minute, time.Hour, 30 * 24 * time.Hour} {
			s.clock.Advance(d)
			if err := write(t, k); err != nil {
				t.Errorf("after %s of renewals: %v", d, err)
			}
		}
		if h, _ := s.Look(t.Context(), "shop"); h == nil || h.Owner != "alice" {
			t.Errorf("after a month it is %v", h)
		}
	})
}

func TestAHolderThatLivesIsWaitedForWhenThatIsWanted(t *testing.T) {
	everywhere(t, func(t *testing.T, s *stand) {
		k := s.take(t, s.request("alice"))
		s.clock.After(40*time.Second, func() { _ = k.Release(context.Background()) })
		q := s.request("bob")
		q.Wait = time.Minute
		begun := s.clock.Now()
		bob, from, err := lock.Take(t.Context(), s, q)
		if err != nil || from != "" || s.clock.Now().Sub(begun) > 41*time.Second {
			t.Fatalf("%v, taken over from %q after %s", err, from, s.clock.Now().Sub(begun))
		}
		if bob.Token() <= k.Token() {
			t.Errorf("token %d after %d", bob.Token(), k.Token())
		}
	})
}

func TestADeadHolderIsTakenOverAndNamed(t *testing.T) {
	everywhere(t, func(t *testing.T, s *stand) {
		s.take(t, s.request("alice")).Leave() // as if its process had ended
		begun := s.clock.Now()
		_, from, err := lock.Take(t.Context(), s, s.request("bob"))
		if err != nil || !strings.Contains(from, "alice") {
			t.Fatalf("%v, from %q", err, from)
		}
		if took := s.clock.Now().Sub(begun); took > 17*time.Second {
			t.Errorf("it took %s", took)
		}
		q := s.request("carol")
		q.Dead = func(owner string) bool { return owner == "bob" }
		begun = s.clock.Now()
		if _, from, err := lock.Take(t.Context(), s, q); err != nil || !strings.Contains(from, "bob") || s.clock.Now() != begun {
			t.Errorf("known to be dead: %v, from %q, after %s", err, from, s.clock.Now().Sub(begun))
		}
	})
}

// A holder that was taken for dead and renews its lock before it is taken over lives.
func TestAHolderThatRenewsIsNotTakenOver(t *testing.T) {
	everywhere(t, func(t *testing.T, s *stand) {
		a := s.take(t, s.request("alice"))
		seen, err := s.Take(t.Context(), "shop", lock.Holder{Owner: "bob"}, nil, 0)
		if err != nil || seen.Owner != "alice" {
			t.Fatalf("%v, %v", seen, err)
		}
		s.clock.Advance(lock.Renewal + time.Second)
		got, err := s.Take(t.Context(), "shop", lock.Holder{Owner: "bob"}, seen, 0)
		if err != nil || got.Owner != "alice" {
			t.Fatalf("%v, %v", got, err)
		}
		a.Leave()
		if got, err = s.Take(t.Context(), "shop", lock.Holder{Owner: "bob"}, got, 0); err != nil || got.Owner != "bob" {
			t.Errorf("%v, %v", got, err)
		}
	})
}

func TestAskingAgainGivesTheSameLock(t *testing.T) {
	everywhere(t, func(t *testing.T, s *stand) {
		a := s.take(t, s.request("alice"))
		s.clock.Advance(3 * time.Second)
		if b := s.take(t, s.request("alice")); a.Token() != b.Token() {
			t.Errorf("tokens %d and %d", a.Token(), b.Token())
		}
	})
}

func TestAHolderThatSleptIsRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, s *stand) {
		k := s.take(t, s.request("alice"))
		k.Leave() // nothing renews it, as while a process is stopped
		s.clock.Advance(9 * time.Second)
		if err := write(t, k); err != nil {
			t.Errorf("after 9 s: %v", err)
		}
		s.clock.Advance(2 * time.Second)
		if err := write(t, k); failure.KindOf(err) != failure.Conflict {
			t.Errorf("after 11 s: %v", err)
		}
		if err := k.Allow(t.Context(), &effect.Op{Class: effect.Read}); err != nil {
			t.Errorf("a look: %v", err)
		}
		if err := k.Allow(effect.Undo(t.Context()), &effect.Op{Class: effect.Destructive}); err != nil {
			t.Errorf("taking back, while nobody else has it: %v", err)
		}
		s.clock.Advance(16 * time.Second)
		s.take(t, s.request("bob"))
		if err := k.Allow(effect.Undo(t.Context()), &effect.Op{Class: effect.Destructive}); failure.KindOf(err) != failure.Conflict {
			t.Errorf("taking back, while bob has it: %v", err)
		}
		if err := k.Release(t.Context()); err != nil {
			t.Error(err)
		}
		if h, _ := s.Look(t.Context(), "shop"); h == nil || h.Owner != "bob" {
			t.Errorf("bob's lock was given back by alice: %v", h)
		}
	})
}

func TestALockThatAPersonTookStaysUntilReleased(t *testing.T) {
	everywhere(t, func(t *testing.T, s *stand) {
		q := s.request("alice@h")
		q.Holder.Message = "the database is moved"
		s.take(t, q).Leave()
		s.clock.Advance(time.Hour)
		_, _, err := lock.Take(t.Context(), s, s.request("bob"))
		if failure.KindOf(err) != failure.Conflict || !strings.Contains(err.Error(), "the database is moved") {
			t.Fatal(err)
		}
		if err := s.Release(t.Context(), "shop", "alice@h"); err != nil {
			t.Fatal(err)
		}
		s.take(t, s.request("bob"))
	})
}

// A Redis that comes back from an older snapshot knows no lock, and an old token.
func TestTokensRiseThoughRedisForgets(t *testing.T) {
	everywhere(t, func(t *testing.T, s *stand) {
		if s.world == nil {
			t.Skip("files forget nothing")
		}
		k := s.take(t, s.request("alice"))
		if err := s.world.RestartRedis(state.State{}); err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(6 * time.Second)
		if err := write(t, k); err != nil {
			t.Errorf("the holder was not renewed: %v", err)
		}
		if h, _ := s.Look(t.Context(), "shop"); h == nil || h.Token != k.Token() {
			t.Errorf("the lock is %v", h)
		}
		if err := s.world.RestartRedis(state.State{}); err != nil {
			t.Fatal(err)
		}
		q := s.request("bob")
		q.Floor = k.Token() + 1e12 // a container's label
		if b := s.take(t, q); b.Token() <= q.Floor {
			t.Errorf("token %d, floor %d", b.Token(), q.Floor)
		}
		s.clock.Advance(6 * time.Second)
		if err := write(t, k); failure.KindOf(err) != failure.Conflict {
			t.Errorf("alice goes on: %v", err)
		}
	})
}

// What an undo step ends, another run may have adopted: it shows that the lock is still its
// own, at once and not by its age.
func TestAnUndoStepThatEndsSomethingShowsItsLock(t *testing.T) {
	everywhere(t, func(t *testing.T, s *stand) {
		if s.world == nil {
			t.Skip("files forget nothing")
		}
		undo := effect.Undo(t.Context())
		ends := &effect.Op{Name: "docker.stop", Target: "shop-1", Class: effect.Destructive}
		forget := func() {
			t.Helper()
			if err := s.world.RestartRedis(state.State{}); err != nil {
				t.Fatal(err)
			}
		}
		k := s.take(t, s.request("alice"))
		forget()
		if err := k.Allow(undo, ends); err != nil {
			t.Errorf("nobody else came: %v", err)
		}
		if h, _ := s.Look(t.Context(), "shop"); h == nil || h.Owner != "alice" {
			t.Errorf("the lock is not kept from others meanwhile: %v", h)
		}
		s.world.SetRedisDown(true)
		if err := k.Allow(undo, ends); failure.KindOf(err) != failure.Conflict || !strings.Contains(err.Error(), "another run may be changing shop-1") {
			t.Errorf("nobody can be asked: %v", err)
		}
		if err := k.Allow(undo, &effect.Op{Name: "docker.start", Class: effect.Write}); err != nil {
			t.Errorf("to start something ends nothing: %v", err)
		}
		s.world.SetRedisDown(false)
		forget()
		s.clock.Advance(time.Millisecond)
		if err := s.take(t, s.request("bob")).Release(t.Context()); err != nil { // bob deployed, and is done
			t.Fatal(err)
		}
		if err := k.Allow(undo, ends); failure.KindOf(err) != failure.Conflict {
			t.Errorf("bob deployed meanwhile: %v", err)
		}
	})
}

func TestALockThatWasTakenAwayIsNotedByItsHolder(t *testing.T) {
	everywhere(t, func(t *testing.T, s *stand) {
		r, ok := s.Place.(*lock.Redis)
		if !ok {
			t.Skip("only in Redis")
		}
		k := s.take(t, s.request("alice"))
		if err := r.Break(t.Context(), "shop"); err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(6 * time.Second)
		if err := write(t, k); failure.KindOf(err) != failure.Conflict {
			t.Error(err)
		}
	})
}

func TestOfManyAtOnceOneGetsIt(t *testing.T) {
	everywhere(t, func(t *testing.T, s *stand) {
		var mu sync.Mutex
		got := map[string]bool{}
		var all sync.WaitGroup
		for _, owner := range strings.Split("abcdefgh", "") {
			all.Go(func() {
				h, err := s.Take(t.Context(), "shop", lock.Holder{Owner: owner}, nil, 0)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				got[h.Owner] = true
			})
		}
		all.Wait()
		if len(got) != 1 {
			t.Errorf("%d holders: %v", len(got), got)
		}
	})
}

// turned is a clock whose face is set, as time.Now's is, while what it measures goes on:
// a lock in a file has the face's time.
type turned struct {
	*clock.Virtual
	by time.Duration
}

func (c *turned) Now() time.Time { return c.Virtual.Now().Add(c.by) }

func TestLocksInFilesWhileTheClockIsSet(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	for _, by := range []time.Duration{-year, -time.Hour, -time.Second, time.Second, time.Hour, year} {
		clk := clock.NewVirtual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		face := &turned{Virtual: clk}
		s := &stand{lock.InFiles(filepath.Join(t.TempDir(), "locks"), face), clk, nil}

		alice := s.take(t, s.request("alice"))
		face.by = by
		if _, _, err := lock.Take(t.Context(), s, s.request("bob")); failure.KindOf(err) != failure.Conflict {
			t.Errorf("%s: alice lives, and bob gets %v", by, err)
		}
		if err := write(t, alice); err != nil {
			t.Errorf("%s: alice: %v", by, err)
		}

		alice.Leave() // it is dead
		face.by = 2 * by
		begun := clk.Now()
		_, from, err := lock.Take(t.Context(), s, s.request("carol"))
		if err != nil || !strings.Contains(from, "alice") {
			t.Errorf("%s: carol gets %v, from %q", by, err, from)
		}
		if took := clk.Now().Sub(begun); took > lock.TTL+2*time.Second {
			t.Errorf("%s: it took %s", by, took)
		}
	}
}
