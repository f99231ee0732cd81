package docker_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/lab"
)

// layered builds mepc/shipped:1 and :2 on the shared engine: one large layer that
// they have in common, and a small one that they have not.
func layered(t *testing.T, b *bench) {
	t.Helper()
	b.params["dir"] = t.TempDir()
	dir := b.params["dir"].(string)
	big := make([]byte, 2_000_000)                // as large when it is compressed
	_, _ = rand.NewChaCha8([32]byte{1}).Read(big) // never fails
	for _, v := range []string{"1", "2"} {
		writeIn(t, dir, "big", string(big))
		writeIn(t, dir, "small", "version "+v)
		writeIn(t, dir, "Dockerfile", "FROM scratch\nCOPY big /\nCOPY small /\nCMD [\"/app\"]\n")
		b.params["v"] = v
		b.run(`docker.build{context = P.dir, tag = "mepc/shipped:" .. P.v}`)
	}
}

// unlayered removes them.
func unlayered(b *bench) {
	b.run(`for v = 1, 2 do docker.remove_image("mepc/shipped:" .. v, {missing_ok = true}) end`)
}

func writeIn(t *testing.T, dir, name, body string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyTheLayersThatAnEngineLacksAreShipped(t *testing.T) {
	b := labBench(t)
	target(t, b)
	layered(t, b)
	b.params["compress"] = "gzip"
	if modern() {
		b.params["compress"] = "zstd"
	} else {
		b.fail(failure.Invalid, `docker.ship{image = "mepc/shipped:1", to = docker.connect(P.to), compress = "zstd"}`, "it is older than version 23, and knows no zstd", `compress="gzip"`)
	}
	got := b.run(`
		local to = docker.connect(P.to)
		local first = docker.ship{image = "mepc/shipped:1", to = to, compress = P.compress, via = "save"}
		local second = docker.ship{image = "mepc/shipped:2", to = {to}}
		local again = docker.ship{image = "mepc/shipped:2", to = to}
		local id = docker.image("mepc/shipped:2").id
		docker.tag("mepc/shipped:2", "mepc/shipped:other")
		local other = docker.ship{image = "mepc/shipped:other", to = to}
		docker.remove_image("mepc/shipped:other")
		to:remove_image("mepc/shipped:1") -- what the second shipment was laid on
		to:create{name = "runs", image = "mepc/shipped:2"}
		to:save("mepc/shipped:2", P.dir .. "/whole.tar")
		return {
			via = {first.via, second.via, again.via, other.via}, names = #docker.images{reference = "127.*/mepc-run/*"},
			layers = {first.engines[1].layers, second.engines[1].layers, again.engines[1].layers, other.engines[1].layers},
			whole = second.engines[1].whole, bytes = second.bytes < 20000, saved = second.saved > 1900000, again = again.bytes, unchanged = again.engines[1].unchanged,
			id = to:image("mepc/shipped:2").id == id and second.id == id, tags = #to:image("mepc/shipped:2").tags, left = #to:images{reference = "mepc-run/*"},
			containers = #to:list{all = true},
		}`)
	want := map[string]any{
		"via": []any{"save", "push", "", ""}, "names": 0.0,
		"layers": []any{2.0, 1.0, 0.0, 0.0}, "whole": "", "bytes": true, "saved": true, "again": 0.0, "unchanged": true,
		"id": true, "tags": 2.0, "left": 0.0, "containers": 1.0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := b.events.outcomes(); !strings.HasPrefix(got, "connect ok, ship ok, ship ok, ship unchanged, image ok, tag ok, ship ok") {
		t.Error(got)
	}
	unlayered(b)
}

// A push that was cut off leaves the name it pushed by. The next shipment removes it,
// also when it pushes nothing itself; a name that is still listened at is in use.
func TestANameThatAPushLeftIsRemoved(t *testing.T) {
	b := labBench(t)
	target(t, b)
	layered(t, b)
	defer unlayered(b)
	used, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	b.params["used"] = used.Addr().String()
	got := b.run(`
		local name = "/mepc-run/shipping:" .. docker.image("mepc/shipped:1").id:gsub("sha256:", "")
		docker.tag("mepc/shipped:1", "127.109.101.112:5000" .. name)
		docker.tag("mepc/shipped:1", P.used .. name)
		docker.ship{image = "mepc/shipped:1", to = docker.connect(P.to), via = "save"}
		local tags = docker.image("mepc/shipped:1").tags
		docker.remove_image(P.used .. name)
		return {left = #tags, used = tags[1] == P.used .. name or tags[2] == P.used .. name}`)
	if diff := cmp.Diff(map[string]any{"left": 2.0, "used": true}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// through is the address of an engine behind a proxy, which does not pass on what
// answer says that it answered.
func through(t *testing.T, e *lab.Engine, answer func(http.ResponseWriter, *http.Request) bool) string {
	t.Helper()
	socket := strings.TrimPrefix(e.Host(), "unix://")
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "docker"}) },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}},
		FlushInterval: -1,
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !answer(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return "tcp://" + s.Listener.Addr().String()
}

// What cannot be pushed is saved, and that is said.
func TestWhereAPushFailsTheImageIsSaved(t *testing.T) {
	b := labBench(t)
	target(t, b)
	layered(t, b)
	answers := map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"connection refused": func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = io.WriteString(w, `{"errorDetail": {"message": "dial tcp 127.0.0.1:1: connection refused"}, "error": "x"}`)
			return true
		},
		"what it pushed is not the image": func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = io.WriteString(w, `{"status": "pushed"}`) // it did not
			return true
		},
	}
	for _, why := range []string{"connection refused", "what it pushed is not the image"} {
		b.params["from"] = through(t, b.lab.Engine, func(w http.ResponseWriter, r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, "/push") && answers[why](w, r)
		})
		got := b.run(`
			local to = docker.connect(P.to)
			docker.ship{image = "mepc/shipped:1", to = to}
			local s = docker.ship{image = "mepc/shipped:2", from = docker.connect(P.from), to = to}
			local left = #docker.images{reference = "127.*/mepc-run/*"}
			to:remove_image("mepc/shipped:2")
			return {via = s.via, layers = s.engines[1].layers, left = left}`)
		layers := 1.0
		if packed() { // a saved layer is known by its digest only where it is not compressed
			layers = 2
		}
		if diff := cmp.Diff(map[string]any{"via": "save", "layers": layers, "left": 0.0}, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", why, diff)
		}
		notes := ""
		for _, ev := range b.events.ends() {
			notes += ev.Result.Summary + "\n"
		}
		if !strings.Contains(notes, "saved, since a push failed: ") || !strings.Contains(notes, why) {
			t.Errorf("that %s is not said: %q", why, notes)
		}
	}
	unlayered(b)
}

// A layer that is larger than what is kept unasked is pushed again when it is lacked.
func TestALargeLayerIsPushedTwice(t *testing.T) {
	if testing.Short() {
		t.Skip("it moves 34 MB")
	}
	b := labBench(t)
	target(t, b)
	dir := t.TempDir()
	b.params["dir"] = dir
	noise := make([]byte, 34<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // never fails
	writeIn(t, dir, "noise", string(noise))
	writeIn(t, dir, "Dockerfile", "FROM scratch\nCOPY noise /\nCMD [\"/app\"]\n")
	got := b.run(`
		docker.build{context = P.dir, tag = "mepc/noise:1"}
		local to = docker.connect(P.to)
		local s = docker.ship{image = "mepc/noise:1", to = to, via = "push"}
		docker.remove_image("mepc/noise:1")
		return {via = s.via, layers = s.engines[1].layers, bytes = s.bytes > 34000000, whole = s.engines[1].whole}`)
	if diff := cmp.Diff(map[string]any{"via": "push", "layers": 1.0, "bytes": true, "whole": ""}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A target that cannot, or does not say the truth, is named, and what the others
// have is said; the next shipment completes what was begun.
func TestWhoDidNotGetAnImageIsSaid(t *testing.T) {
	b := labBench(t)
	to := target(t, b)
	layered(t, b)
	b.params["liar"] = answering(t, map[string]http.HandlerFunc{
		"GET /info":         say(`{"ID": "a", "Name": "liar", "OSType": "linux", "Architecture": "x86_64"}`),
		"GET /images/json":  say(`[]`),
		"POST /images/load": say(`{"stream": "Loaded image: mepc/shipped:1"}`),
	})
	b.params["arm"] = answering(t, map[string]http.HandlerFunc{
		"GET /info": say(`{"ID": "b", "Name": "arm", "OSType": "linux", "Architecture": "riscv64"}`),
	})
	b.params["full"] = answering(t, map[string]http.HandlerFunc{
		"GET /info":         say(`{"ID": "c", "Name": "full", "OSType": "linux", "Architecture": "x86_64"}`),
		"GET /images/json":  say(`[]`),
		"POST /images/load": say(`{"errorDetail": {"message": "no space left on device"}, "error": "no space left on device"}`),
	})
	hung := make(chan struct{})
	t.Cleanup(func() { close(hung) })
	b.params["hung"] = answering(t, map[string]http.HandlerFunc{"GET /json": func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hung:
		case <-r.Context().Done():
		}
	}})
	host := func(name string) string { return strings.TrimPrefix(b.params[name].(string), "tcp://") }
	e := b.fail(failure.Refused, `docker.ship{image = "mepc/shipped:1", to = {docker.connect(P.liar), docker.connect(P.to)}}`,
		"1 of 2 engines did not get mepc/shipped:1", host("liar"), "says that it loaded the image, which is not there")
	if !strings.Contains(e.State, to.Host()+" has it now") {
		t.Errorf("what the other has is not said: %q", e.State)
	}
	b.fail(failure.Refused, `docker.ship{image = "mepc/shipped:1", to = docker.connect(P.full)}`, host("full"), "no space left on device")
	b.fail(failure.Invalid, `docker.ship{image = "mepc/shipped:1", to = docker.connect(P.arm)}`, host("arm"), "it runs linux/riscv64, and the image is for linux/amd64")
	b.fail(failure.Timeout, `docker.ship{image = "mepc/shipped:1", to = docker.connect(P.hung), patience = "300ms"}`, "no answer within 300ms")
	b.fail(failure.NotFound, `docker.ship{image = "mepc/no-such:1", to = docker.connect(P.to)}`, "mepc/no-such:1")
	b.fail(failure.Invalid, `docker.ship{image = "mepc/shipped:1", to = {docker.connect(P.to), docker.connect(P.to)}}`, "is there twice")
	b.fail(failure.Unavailable, `docker.ship{image = "mepc/shipped:1", to = docker.connect("unix:///nowhere.sock")}`, "nowhere.sock")
	got := b.run(`return {docker.ship{image = "mepc/shipped:1", to = docker.connect(P.to)}.engines[1].unchanged, #docker.connect(P.to):images{reference = "mepc-run/*"}}`)
	if diff := cmp.Diff([]any{true, 0.0}, got); diff != "" {
		t.Error(diff)
	}
	unlayered(b)
}

// flipped is a request's body of which one byte is another.
type flipped struct {
	io.ReadCloser
	at int // counts down
}

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if f.at >= 0 && f.at < n {
		p[f.at] ^= 1
	}
	f.at -= n
	return n, err
}

// What goes wrong on the way is noticed, and nothing half loaded has the image's name.
func TestWhatGoesWrongOnTheWay(t *testing.T) {
	b := labBench(t)
	to := target(t, b)
	layered(t, b)
	is := func(r *http.Request, suffix string) bool { return strings.HasSuffix(r.URL.Path, suffix) }
	loads := 0
	b.params["noisy"] = through(t, to, func(_ http.ResponseWriter, r *http.Request) bool {
		if is(r, "/images/load") {
			if loads++; loads == 1 {
				r.Body = &flipped{r.Body, 100_000}
			}
		}
		return false
	})
	b.params["cut"] = through(t, b.lab.Engine, func(w http.ResponseWriter, r *http.Request) bool {
		if !is(r, "/images/get") {
			return false
		}
		_, _ = w.Write(make([]byte, 512))
		panic(http.ErrAbortHandler) // the connection is gone
	})
	engine, err := b.lab.Engine.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	b.params["moving"] = through(t, b.lab.Engine, func(_ http.ResponseWriter, r *http.Request) bool {
		if is(r, "/images/get") { // somebody builds it meanwhile
			if err := engine.ImageTag(t.Context(), "mepc/shipped:2", "mepc/shipped:1"); err != nil {
				t.Error(err)
			}
		}
		return false
	})
	b.params["small"] = answering(t, map[string]http.HandlerFunc{
		"GET /info":        say(`{"ID": "d", "Name": "small", "OSType": "linux", "Architecture": "x86_64", "DriverStatus": [["Data Space Available", "1.2 MB"]]}`),
		"GET /images/json": say(`[]`),
	})
	b.fail(failure.Refused, `docker.ship{image = "mepc/shipped:1", to = docker.connect(P.small)}`, strings.TrimPrefix(b.params["small"].(string), "tcp://"), "it has 1.2 MB of disk left")
	b.fail(failure.Invalid, `docker.ship{image = "mepc/shipped:1", to = {docker.connect(P.to), docker.connect(P.noisy)}}`, "are the same engine")
	b.run(`docker.connect(P.to):remove_image("mepc/shipped:1")`) // the one of the two that got it
	e := b.fail(failure.Unavailable, `docker.ship{image = "mepc/shipped:1", from = docker.connect(P.cut), to = docker.connect(P.to)}`)
	if !strings.Contains(e.Error(), strings.TrimPrefix(b.params["cut"].(string), "tcp://")) {
		t.Errorf("the source that broke off is not named: %v", e)
	}
	b.fail(failure.Conflict, `docker.ship{image = "mepc/shipped:1", from = docker.connect(P.moving), to = docker.connect(P.to)}`, "became image", "no engine was given it")
	got := b.run(`
		local to = docker.connect(P.to)
		local nothing = #to:images()
		local s = docker.ship{image = "mepc/shipped:1", to = docker.connect(P.noisy)}
		return {nothing = nothing, whole = s.engines[1].whole ~= "", id = to:image("mepc/shipped:1").id == s.id, left = #to:images{reference = "mepc-run/*"}}`)
	if diff := cmp.Diff(map[string]any{"nothing": 0.0, "whole": true, "id": true, "left": 0.0}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if loads != 2 {
		t.Errorf("it was sent %d times", loads)
	}
	b.run(`docker.connect(P.to):remove_image("mepc/shipped:1")`)
	restarted := false
	b.params["dying"] = through(t, to, func(_ http.ResponseWriter, r *http.Request) bool {
		if is(r, "/images/load") && !restarted {
			restarted = true
			if err := errors.Join(to.Kill9(), to.Restart(t.Context())); err != nil {
				t.Error(err)
			}
			panic(http.ErrAbortHandler)
		}
		return false
	})
	_, failed := b.try(`docker.ship{image = "mepc/shipped:2", to = docker.connect(P.dying), via = "save"}`)
	if failed == nil || !restarted {
		t.Errorf("an engine that is restarted meanwhile: %v", failed)
	}
	got = b.run(`
		local to = docker.connect(P.to)
		local named = to:image("mepc/shipped:2") ~= nil
		local s = docker.ship{image = "mepc/shipped:2", to = to}
		return {named = named, id = to:image("mepc/shipped:2").id == s.id, left = #to:images{reference = "mepc-run/*"}}`)
	if diff := cmp.Diff(map[string]any{"named": false, "id": true, "left": 0.0}, got); diff != "" {
		t.Errorf("after a restart (-want +got)\n%s", diff)
	}
	unlayered(b)
}
