package router

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// release is one version of an application, in a process of its own as far as
// connections go: when it stops it closes what is idle, and all at once.
type release struct {
	url    string
	server *http.Server
	done   chan struct{}
}

func deploy(t *testing.T, version int) *release {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &release{url: "http://" + l.Addr().String(), done: make(chan struct{})}
	v.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "v%d", version)
	})}
	go func() { defer close(v.done); _ = v.server.Serve(l) }()
	return v
}

// kill is not graceful: whatever still comes, or is under way, fails. So the
// drain alone must have seen to it that there is nothing.
func (v *release) kill() {
	_ = v.server.Close()
	<-v.done
}

// A hundred redeploys under the load of readers, writers and new connections.
// Each old release is killed the moment /-/inflight says that it is drained.
func TestAHundredSwitchesUnderLoadLoseNothing(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	current := deploy(t, 0)
	s.list("app", current.url)

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var sent, failed atomic.Int64
	var load sync.WaitGroup
	for worker := range 8 {
		load.Go(func() {
			fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			for ctx.Err() == nil {
				var resp *http.Response
				var err error
				switch worker % 4 {
				case 0, 1:
					resp, err = r.client.Do(r.request("GET", "app", "/", nil))
				case 2:
					resp, err = r.client.Do(r.request("POST", "app", "/", strings.NewReader("order")))
				default:
					resp, err = fresh.Do(r.request("GET", "app", "/", nil))
				}
				sent.Add(1)
				if err != nil {
					failed.Add(1)
					t.Error(err)
					continue
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != 200 {
					failed.Add(1)
					t.Errorf("%d %q %v", resp.StatusCode, body, err)
				}
			}
		})
	}
	began := now()
	for i := 1; i <= 100; i++ {
		next := deploy(t, i)
		s.list("app", next.url)
		r.wants("app", 200, fmt.Sprintf("v%d", i))
		old := current.url
		eventually(t, "the drain", func() bool {
			st, source := r.state(old)
			return !st.Listed && st.InFlight == 0 && source == sourceRedis
		})
		current.kill()
		current = next
	}
	stop()
	load.Wait()
	current.kill()
	t.Logf("%d requests, %d failed, 100 switches in %v", sent.Load(), failed.Load(), now().Sub(began).Round(time.Millisecond))
	if sent.Load() < 500 {
		t.Errorf("only %d requests: no load", sent.Load())
	}
}
