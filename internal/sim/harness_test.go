package sim_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
)

// newWorld makes a world with two versions of an application on one engine.
func newWorld(tb testing.TB, more ...state.Container) *sim.World {
	tb.Helper()
	w, err := sim.New(sim.Options{State: &state.State{
		Engines: []state.Engine{{
			Images: []state.Image{
				{Ref: "mepc/app:1.0", Expose: []string{"8080"}},
				{Ref: "mepc/app:1.1", Expose: []string{"8080"}},
				{Ref: "mepc/db:1.0", Expose: []string{"8000"}},
			},
			Containers: more,
		}},
		Routers: []state.Router{{Address: "127.0.0.1:8080"}},
	}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(w.Close)
	return w
}

// dockerClient returns a docker client of the engine.
func dockerClient(tb testing.TB, e *sim.Engine) *client.Client {
	tb.Helper()
	c, err := client.NewClientWithOpts(
		client.WithHost("tcp://sim"), client.WithHTTPClient(&http.Client{Transport: e}), client.WithVersion("1.41"),
	)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// redisClient returns a go-redis client of the world's Redis.
func redisClient(tb testing.TB, w *sim.World) *redis.Client {
	tb.Helper()
	c := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:6379", Dialer: w.DialRedis, MaxRetries: -1, ContextTimeoutEnabled: true, DisableIdentity: true,
		ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10, // of 32 KiB each: half of what a rehearsal allocates
		// Otherwise NewClient looks the address up in the DNS.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	tb.Cleanup(func() { c.Close() })
	return c
}

// call sends a request to the first engine and wants a status.
func call(tb testing.TB, w *sim.World, method, path, body string, status int) string {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, "http://e"+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := w.Engine("").RoundTrip(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	if resp.StatusCode != status {
		tb.Fatalf("%s %s: %d %s, want %d", method, path, resp.StatusCode, b, status)
	}
	return string(b)
}

// address is a container's address in the network bridge.
func address(c container.InspectResponse) string {
	if n := c.NetworkSettings.Networks["bridge"]; n != nil {
		return n.IPAddress
	}
	return ""
}
