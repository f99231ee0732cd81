package trigger_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/internal/trigger"
	"github.com/mepc/mepc-run/modules/on"
)

// site is a server that has the trigger.
type site struct {
	name  string
	fired chan string // what its runs are for

	mu    sync.Mutex
	ended map[string]bool
}

func (s *site) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended[id] = true
}

// open starts it. A server that ends as by kill -9 does nothing more for its entries.
func (s *site) open(t *testing.T, store *redis.Client, source *on.Redis) (end func()) {
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		trigger.Run(ctx, trigger.Options{
			Recipes: one{&reload.Recipe{Name: "deploy", Version: &reload.Version{Triggers: []*on.Trigger{{Source: source}}}}},
			Redis:   func(context.Context) (redis.UniversalClient, error) { return store, nil },
			Name:    s.name, Clock: clock.Wall{}, Log: slog.New(slog.DiscardHandler),
			Fire: func(_ string, _ *on.Trigger, event map[string]any, _ string) (string, error) {
				s.fired <- event["image"].(string)
				return event["image"].(string), nil
			},
			Ended: func(id string) bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return s.ended[id]
			},
		})
	})
	return func() { stop(); running.Wait() }
}

// Servers share a stream's entries; those of a server that is gone are taken over,
// unless their runs had ended.
func TestAServerThatIsGoneIsStoodInFor(t *testing.T) {
	defer trigger.SetBlock(10 * time.Millisecond)()
	fake := miniredis.RunT(t)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	fake.SetTime(now)
	store := redis.NewClient(&redis.Options{Addr: fake.Addr()})
	defer store.Close()
	source := &on.Redis{Stream: "deploys", Group: "g", Ack: "ended"}
	pending := func(want int64) {
		t.Helper()
		for until := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			p, err := store.XPending(t.Context(), "deploys", "g").Result()
			if err == nil && p.Count == want {
				return
			}
			if time.Now().After(until) {
				t.Fatalf("want %d entries pending: %+v, %v", want, p, err)
			}
		}
	}
	first := &site{name: "first", fired: make(chan string, 10), ended: map[string]bool{}}
	second := &site{name: "second", fired: make(chan string, 10), ended: map[string]bool{}}
	end := first.open(t, store, source)
	pending(0) // the group is there
	for _, image := range []string{"1.0", "1.1"} {
		if err := store.XAdd(t.Context(), &redis.XAddArgs{Stream: "deploys", Values: []string{"image", image}}).Err(); err != nil {
			t.Fatal(err)
		}
		if got := <-first.fired; got != image {
			t.Fatalf("%s was asked for, and %s is run", image, got)
		}
	}
	pending(2)
	first.end("1.0")
	pending(1)
	defer second.open(t, store, source)()
	for range 5 { // the first lives: however long its run takes, nobody takes it over
		now = now.Add(20 * time.Second)
		fake.SetTime(now)
		time.Sleep(50 * time.Millisecond)
	}
	if len(second.fired) > 0 || len(first.fired) > 0 {
		t.Fatalf("taken over from a server that lives: %d times by the second, %d by itself", len(second.fired), len(first.fired))
	}
	end()
	fake.SetTime(now.Add(31 * time.Second))
	if got := <-second.fired; got != "1.1" {
		t.Errorf("%s was taken over, want 1.1", got)
	}
	second.end("1.1")
	pending(0)
}
