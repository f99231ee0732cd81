package docker_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/mepc/mepc-run/internal/failure"
)

// cutter is a server before a real engine. It passes everything on, and instead
// of passing the answer to one chosen request back it cuts the connection: what
// an engine that dies at the wrong moment looks like.
type cutter struct {
	*httptest.Server

	mu     sync.Mutex
	cut    string // "METHOD /part/of/path"; "" passes all
	before bool   // cut before the request gets to the engine
	hits   int    // requests that were cut
}

// set says what is cut from now on.
func (c *cutter) set(cut string, before bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut, c.before, c.hits = cut, before, 0
}

func (c *cutter) hit(r *http.Request) (hit, before bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	method, path, _ := strings.Cut(c.cut, " ")
	if c.cut == "" || r.Method != method || !strings.Contains(r.URL.Path, path) {
		return false, false
	}
	c.hits++
	return true, c.before
}

func (c *cutter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hits
}

func newCutter(t *testing.T, engine string) *cutter {
	c := &cutter{}
	socket := strings.TrimPrefix(engine, "unix://")
	pass := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(pass.CloseIdleConnections)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hit, before := c.hit(r)
		if before {
			_, _ = io.Copy(io.Discard, r.Body)
			panic(http.ErrAbortHandler)
		}
		// The engine must finish although nobody waits for its answer.
		req := r.Clone(context.WithoutCancel(r.Context()))
		req.URL.Scheme, req.URL.Host, req.RequestURI = "http", "engine", ""
		resp, err := pass.RoundTrip(req)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		if hit {
			_, _ = io.Copy(io.Discard, resp.Body)
			panic(http.ErrAbortHandler)
		}
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *cutter) url() string { return "tcp://" + c.Listener.Addr().String() }

func TestALostReplyIsSettledByALook(t *testing.T) {
	direct := labBench(t)
	c := newCutter(t, direct.lab.Engine.Host())
	b := benchAt(t, c.url())
	b.lab = direct.lab
	direct.params = b.params
	b.name("app")
	b.params["net"], b.params["renamed"] = b.lab.Name("net"), b.lab.Name("renamed")
	for _, step := range []struct{ cut, call, outcome string }{
		{"POST /containers/create", `local made = docker.create{name = P.app, image = "mepc/app:1.0"} return made.id == docker.inspect(P.app).id`, "create ok, inspect ok"},
		{"POST /start", `docker.start(P.app) return docker.inspect(P.app).state.running`, "start ok, inspect ok"},
		{"POST /rename", `docker.rename(P.app, P.renamed) docker.rename(P.renamed, P.app) return true`, "rename ok, rename ok"},
		{"POST /networks/create", `return docker.network_create(P.net).name == P.net`, "network_create ok"},
		{"POST /connect", `docker.network_connect(P.net, P.app) return true`, "network_connect ok"},
		{"POST /disconnect", `docker.network_disconnect(P.net, P.app) return true`, "network_disconnect ok"},
		{"DELETE /networks/", `docker.network_remove(P.net) return true`, "network_remove ok"},
		{"POST /restart", `docker.restart(P.app, {timeout = 1}) return true`, "restart ok"},
		{"POST /stop", `docker.stop(P.app) return true`, "stop ok"},
		{"POST /tag", `docker.tag("mepc/app:1.0", "mepc/lost:1") return true`, "tag ok"},
		{"DELETE /images/", `docker.remove_image("mepc/lost:1") return true`, "remove_image ok"},
		{"DELETE /containers/", `docker.remove(P.app) return docker.find(P.app) == nil`, "remove ok, find ok"},
	} {
		t.Run(step.cut, func(t *testing.T) {
			b.t = t
			c.set(step.cut, false)
			if got := b.run(step.call); got != true {
				t.Errorf("%s returned %v", step.call, got)
			}
			if c.count() == 0 {
				t.Error("nothing was cut")
			}
			if got := b.events.outcomes(); got != step.outcome {
				t.Errorf("outcomes: %s", got)
			}
		})
	}
}

func TestALostReplyThatALookCannotSettleIsUnknown(t *testing.T) {
	direct := labBench(t)
	c := newCutter(t, direct.lab.Engine.Host())
	b := benchAt(t, c.url())
	b.lab = direct.lab
	b.name("app")

	c.set("POST /containers/create", true)
	b.fail(failure.Unknown, `docker.create{name = P.app, image = "mepc/app:1.0"}`,
		"the connection was cut before it had answered", "look before trying again", "there is no container named", " now")
	if got := b.events.outcomes(); got != "create unknown" {
		t.Error(got)
	}

	// A container of that name which was there before is not taken for ours.
	c.set("", false)
	b.run(`docker.create{name = P.app, image = "mepc/app:1.0"}`)
	c.set("POST /containers/create", true)
	b.fail(failure.Unknown, `docker.create{name = P.app, image = "mepc/app:1.0"}`, "is not the one that was to be created")

	c.set("POST /start", true)
	b.fail(failure.Unknown, `docker.start(P.app)`, "is created")
	c.set("POST /kill", true)
	b.run(`docker.start(P.app)`)
	b.fail(failure.Unknown, `docker.kill(P.app, {signal = "HUP"})`, "look before trying again")
	c.set("GET /json", true)
	b.fail(failure.Unavailable, `docker.inspect(P.app)`, "the connection was cut before it had answered", "systemctl status docker")
	c.set("POST /build", true)
	writeDockerfile(t, b, "FROM scratch\nLABEL a=b\n")
	b.fail(failure.Unknown, `docker.build{context = P.dir}`, "look before trying again")
}

func TestALoadWhoseReplyIsLostIsVerifiedByItsImages(t *testing.T) {
	direct := labBench(t)
	c := newCutter(t, direct.lab.Engine.Host())
	b := benchAt(t, c.url())
	b.params["tar"] = t.TempDir() + "/app.tar"
	b.run(`docker.save("mepc/app:1.0", P.tar)`)
	c.set("POST /images/load", false)
	if got := b.run(`return docker.load(P.tar).images[1]`); got != "mepc/app:1.0" {
		t.Error(got)
	}
}
