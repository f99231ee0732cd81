package trigger_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/internal/trigger"
	"github.com/mepc/mepc-run/modules/on"
)

// hasty is a clock on which waiting takes a hundredth of the time.
type hasty struct{ clock.Wall }

func (h hasty) Sleep(ctx context.Context, d time.Duration) error { return h.Wall.Sleep(ctx, d/100) }

// one is a tree of one recipe.
type one struct{ recipe *reload.Recipe }

func (o one) Recipes() []*reload.Recipe { return []*reload.Recipe{o.recipe} }
func (o one) Changed() <-chan struct{}  { return nil }

// Apps whose containers came back elsewhere are told of, whether the server saw the
// engine go or was away, too. What stayed where it was is not, nor what is new.
func TestAnEngineThatComesBackStartsTheRecipeForEachAppThatMoved(t *testing.T) {
	of := func(app, ip string) state.Container {
		return state.Container{
			Name: app + "-1", Image: "app:1", Labels: map[string]string{"mepc.app": app}, Restart: "always",
			Networks: []state.Endpoint{{Network: "bridge", IP: ip}},
		}
	}
	world, err := sim.New(sim.Options{Clock: clock.Wall{}, State: &state.State{Format: state.Format, Engines: []state.Engine{{
		Images:     []state.Image{{Ref: "app:1"}},
		Containers: []state.Container{of("a", "172.17.0.2"), of("stays", "172.17.0.3"), of("b", "172.17.0.4")},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer world.Close()
	engine := world.Engine("")
	var away atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			panic(http.ErrAbortHandler)
		}
		engine.ServeHTTP(w, r)
	}))
	defer server.Close()
	dir := t.TempDir()
	fired := make(chan string, 100)
	watch := func() (end func()) {
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			trigger.Run(ctx, trigger.Options{
				Recipes: one{&reload.Recipe{Name: "reconcile", Version: &reload.Version{Triggers: []*on.Trigger{{Source: &on.Engine{}}}}}},
				Docker: func(context.Context) (*client.Client, error) {
					return client.NewClientWithOpts(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithAPIVersionNegotiation())
				},
				State: dir, Clock: hasty{}, Log: slog.New(slog.DiscardHandler),
				Fire: func(recipe string, _ *on.Trigger, event map[string]any, _ string) (string, error) {
					fired <- recipe + " " + event["app"].(string)
					return "", nil
				},
			})
		})
		return func() { stop(); server.CloseClientConnections(); running.Wait() }
	}
	expect := func() {
		t.Helper()
		for _, want := range []string{"reconcile a", "reconcile b"} {
			if got := <-fired; got != want {
				t.Errorf("%s was started, want %s", got, want)
			}
		}
	}
	end := watch()
	for noted, _ := os.ReadDir(dir); len(noted) == 0; noted, _ = os.ReadDir(dir) {
		time.Sleep(time.Millisecond)
	}
	away.Store(true)
	server.CloseClientConnections()
	engine.Restart(true)
	away.Store(false)
	expect()
	end()
	engine.Restart(false)
	end = watch()
	expect()
	end()
	defer watch()()
	select {
	case again := <-fired:
		t.Errorf("%s was started though nothing had moved", again)
	case <-time.After(100 * time.Millisecond):
	}
}
