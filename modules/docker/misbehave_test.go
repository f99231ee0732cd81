package docker_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/failure"
)

// liar serves answers by "METHOD /suffix of the path"; a ping is always
// answered well. It is what no engine should be.
func liar(t *testing.T, answers map[string]http.HandlerFunc) *bench {
	t.Helper()
	return benchAt(t, answering(t, answers))
}

// answering starts such a server and returns its address.
func answering(t *testing.T, answers map[string]http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		for pattern, answer := range answers {
			method, suffix, _ := strings.Cut(pattern, " ")
			if r.Method == method && strings.HasSuffix(r.URL.Path, suffix) {
				answer(w, r)
				return
			}
		}
		if !strings.HasSuffix(r.URL.Path, "/_ping") {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"message":"No such image: x"}`)
		}
	}))
	t.Cleanup(s.Close)
	return "tcp://" + s.Listener.Addr().String()
}

func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, text)
	}
}

// savedTar is an image as an engine saves it, in outline.
func savedTar(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range [][2]string{
		{"aaa/layer.tar", strings.Repeat("l", 5000)},
		{"manifest.json", `[{"Config":"abc.json","RepoTags":["x:latest"],"Layers":["aaa/layer.tar"]}]`},
	} {
		if err := w.WriteHeader(&tar.Header{Name: f[0], Size: int64(len(f[1])), Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const (
	imageABC = `{"Id":"sha256:abc","RepoTags":["x:latest"],"RootFS":{"Layers":["sha256:1"]}}`
	imageDEF = `{"Id":"sha256:def","RepoTags":["x:latest"],"RootFS":{"Layers":["sha256:1"]}}`
)

func TestASaveThatIsNotWholeIsNoFile(t *testing.T) {
	whole := savedTar(t)
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, whole[:2000])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "the connection was cut"},
		"half of it, politely":  {say(whole[:2000]), "is not a whole image: unexpected EOF"},
		"an error behind it":    {say(whole[:5632] + strings.Repeat(`{"errorDetail":{"message":"disk"}}`, 20)), "is not a whole image"},
		"nothing":               {say(""), "is not a whole image: it has no manifest.json"},
		"an error in its place": {say(`{"message":"oops"}`), "is not a whole image: it is no tar"},
	} {
		t.Run(name, func(t *testing.T) {
			b := liar(t, map[string]http.HandlerFunc{"GET /images/x/json": say(imageABC), "GET /images/get": tt.answer})
			b.params["dir"] = t.TempDir()
			b.fail(failure.Unavailable, `docker.save("x", P.dir .. "/x.tar")`, tt.want)
			if left, _ := os.ReadDir(b.params["dir"].(string)); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
			// The same on the way to another engine.
			to := liar(t, map[string]http.HandlerFunc{"POST /images/load": say(`{"stream":"Loaded image: x:latest\n"}`)})
			b.params["to"] = to.opts.Docker.Host
			b.fail(failure.Unavailable, `docker.copy_image("x", {to = docker.connect(P.to)})`, tt.want)
		})
	}
}

func TestALoadIsBelievedOnlyWhenTheImageIsThere(t *testing.T) {
	loaded := say(`{"stream":"Loaded image: x:latest\n"}`)
	for name, tt := range map[string]struct {
		load, inspect http.HandlerFunc
		kind          failure.Kind
		want          string
	}{
		"it is there":         {loaded, say(imageABC), "", ""},
		"it is not there":     {loaded, http.NotFound, failure.Refused, "says it loaded x:latest, but it is not there"},
		"another is there":    {loaded, say(imageDEF), failure.Conflict, "x:latest is image def on the engine, not abc"},
		"a layer is missing":  {loaded, say(strings.Replace(imageABC, `["sha256:1"]`, `[]`, 1)), failure.Refused, "has 0 layers on the engine, 1 in the tar"},
		"not a word":          {say(""), say(imageABC), failure.Invalid, "it found no image in it"},
		"an error with a 200": {say(`{"errorDetail":{"message":"no space left on device"},"error":"no space left on device"}`), say(imageABC), failure.Invalid, "cannot load it: no space left on device"},
		"broken in passing":   {say(`{"stream":"Loaded image: x:latest\nError unpacking image x:latest: apply layer"}`), say(imageABC), failure.Invalid, "Error unpacking image"},
		"a page":              {say("<html>gateway"), http.NotFound, failure.Unknown, "gateway"},
		"500":                 {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); fmt.Fprint(w, "boom") }, say(imageABC), failure.Refused, "boom"},
	} {
		t.Run(name, func(t *testing.T) {
			b := liar(t, map[string]http.HandlerFunc{"POST /images/load": tt.load, "GET /images/x:latest/json": tt.inspect})
			b.params["tar"] = write(t, "x.tar", []byte(savedTar(t)))
			if tt.kind == "" {
				b.run(`docker.load(P.tar)`)
				return
			}
			b.fail(tt.kind, `docker.load(P.tar)`, tt.want)
		})
	}
}

func TestStreamsThatEndTooEarlyAreUnknown(t *testing.T) {
	cut := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"stream":"Step 1/2 : FROM scratch\n"}`)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	b := liar(t, map[string]http.HandlerFunc{"POST /build": cut, "POST /images/create": cut})
	writeDockerfile(t, b, "FROM scratch\n")
	b.fail(failure.Unknown, `docker.build{context = P.dir}`, "the connection was cut before it had answered", "Step 1/2 : FROM scratch")
	b.fail(failure.Unknown, `docker.pull("x")`, "the connection was cut before it had answered")
	b = liar(t, map[string]http.HandlerFunc{"POST /build": say(`{"stream":"all is well"}`)})
	writeDockerfile(t, b, "FROM scratch\n")
	b.fail(failure.Refused, `docker.build{context = P.dir}`, "finished the build, but names no image")
	b = liar(t, map[string]http.HandlerFunc{"GET /containers/app/json": say(`{}`), "GET /containers/app2/json": say(`[]`)})
	b.fail(failure.Unavailable, `docker.inspect("app")`, "it describes no container")
	b.fail(failure.Unavailable, `docker.inspect("app2")`, "its answer makes no sense")
}
