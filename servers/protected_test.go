package servers_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/docker/docker/client"
	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/servers"
)

// bug is a body that panics when it is read.
type bug struct{}

func (bug) Read([]byte) (int, error) { panic("a planted bug") }

// TestBugsInForeignGoroutinesAreErrors: the clients dial and send in goroutines of
// their own, where a panic would end the process.
func TestBugsInForeignGoroutinesAreErrors(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Api-Version", "1.41")
	}))
	t.Cleanup(s.Close)
	host := "tcp://" + s.Listener.Addr().String()
	panics := func(context.Context, string, string) (net.Conn, error) { panic("a planted bug") }

	calls := map[string]func() error{
		"a dialer of HTTP": func() error {
			w := servers.New(servers.Options{}, servers.Wiring{Dial: panics})
			defer w.Close()
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
			res, err := (&http.Client{Transport: w.Transport()}).Do(req)
			if err == nil {
				res.Body.Close()
			}
			return err
		},
		"a dialer of Redis": func() error {
			w := servers.New(servers.Options{}, servers.Wiring{Redis: func(string) (servers.RedisWire, error) {
				return servers.RedisWire{Single: panics, Ready: func(*redis.Client) {}}, nil
			}})
			defer w.Close()
			r, _, err := w.Redis(t.Context(), "redis://localhost")
			if err != nil {
				return err
			}
			return r.Ping(t.Context()).Err()
		},
		"a body sent to an engine": func() error {
			w := servers.New(servers.Options{}, servers.Wiring{})
			defer w.Close()
			c, _, err := w.Docker(t.Context(), servers.DockerEndpoint{Host: host})
			if err != nil {
				return err
			}
			_, err = c.ImageLoad(t.Context(), bug{}, client.ImageLoadWithQuiet(true))
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := call()
			if err == nil || !strings.Contains(err.Error(), "a planted bug") {
				t.Errorf("got %v", err)
			}
		})
	}
}
