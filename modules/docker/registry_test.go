package docker_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/failure"
)

// registry is a small one, in memory, for an engine on this machine to push to
// and to pull from. With a user it wants the password, too.
type registry struct {
	*httptest.Server
	user string // "name:password"

	mu    sync.Mutex
	blobs map[string][]byte // by digest
	tags  map[string]string // "name:tag" to the digest of its manifest
}

func newRegistry(t *testing.T, user string) *registry {
	r := &registry{user: user, blobs: map[string][]byte{}, tags: map[string]string{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *registry) address() string { return r.Listener.Addr().String() }

func digestOf(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name, pass, _ := req.BasicAuth(); r.user != "" && name+":"+pass != r.user {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
		return
	}
	path := strings.TrimPrefix(req.URL.Path, "/v2/")
	name, rest, _ := strings.Cut(path, "/blobs/")
	isManifest := false
	if rest == "" {
		name, rest, isManifest = strings.Cut(path, "/manifests/")
	}
	switch {
	case path == "":
	case isManifest && req.Method == http.MethodPut:
		b, _ := io.ReadAll(req.Body)
		d := digestOf(b)
		r.blobs[d], r.tags[name+":"+rest] = b, d
		w.Header().Set("Docker-Content-Digest", d)
		w.WriteHeader(http.StatusCreated)
	case isManifest:
		d := rest
		if !strings.HasPrefix(d, "sha256:") {
			d = r.tags[name+":"+rest]
		}
		w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
		r.blob(w, req, d, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`)
	case strings.HasPrefix(rest, "uploads/"):
		r.upload(w, req, name, strings.TrimPrefix(rest, "uploads/"))
	default:
		r.blob(w, req, rest, `{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}`)
	}
}

func (r *registry) blob(w http.ResponseWriter, req *http.Request, digest, missing string) {
	b, ok := r.blobs[digest]
	if !ok {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, missing)
		return
	}
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	if req.Method != http.MethodHead {
		_, _ = w.Write(b)
	}
}

// upload takes POST, then PATCHes, then PUT?digest=; the parts are kept under
// the upload's own name.
func (r *registry) upload(w http.ResponseWriter, req *http.Request, name, id string) {
	if req.Method == http.MethodPost {
		id = fmt.Sprintf("u%d", len(r.blobs))
		r.blobs[id] = nil
	}
	b, _ := io.ReadAll(req.Body)
	r.blobs[id] = append(r.blobs[id], b...)
	w.Header().Set("Location", "/v2/"+name+"/blobs/uploads/"+id)
	w.Header().Set("Docker-Upload-UUID", id)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(len(r.blobs[id])-1, 0)))
	if req.Method != http.MethodPut {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	r.blobs[req.URL.Query().Get("digest")] = r.blobs[id]
	w.WriteHeader(http.StatusCreated)
}

func TestAnImageIsPushedAndPulled(t *testing.T) {
	b := labBench(t)
	reg := newRegistry(t, "me:secret")
	b.params["ref"] = reg.address() + "/mepc/app:1.0"

	b.fail(failure.Auth, `docker.tag("mepc/app:1.0", P.ref) docker.push(P.ref)`, "no basic auth credentials", "docker login")
	b.params["registry"] = reg.address()
	b.fail(failure.Auth, `docker.login(P.registry)`)
	b.fail(failure.Auth, `docker.login(P.registry, {username = "me", password = "wrong"})`, "401 Unauthorized", "does not take this user and password")
	b.fail(failure.Auth, `pcall(docker.login, P.registry, {username = "me", password = "wrong"}) docker.push(P.ref)`, "no basic auth credentials")
	dir := t.TempDir()
	config := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, reg.address(), base64.StdEncoding.EncodeToString([]byte(reg.user)))
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	b.opts.Getenv = func(k string) string { return map[string]string{"DOCKER_CONFIG": dir}[k] }
	got := b.run(`
		local digest = docker.push(P.ref).digest
		docker.remove_image(P.ref)
		local id = docker.pull(P.ref).id
		docker.pull(P.ref)
		local same = id == docker.image("mepc/app:1.0").id
		docker.remove_image(P.ref)
		return {digest = digest, same = same}`)
	if diff := cmp.Diff(map[string]any{"digest": reg.tags["mepc/app:1.0"], "same": true}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := b.events.outcomes(); got != "push ok, remove_image ok, pull ok, pull unchanged, image ok, remove_image ok" {
		t.Error(got)
	}
	var bytes int64
	for _, ev := range b.events.all {
		if ev.Progress != nil && ev.Op.Name == "docker.push" {
			bytes = max(bytes, ev.Progress.Current)
		}
	}
	if bytes < 1<<20 && !packed() { // which says nothing of a blob that goes quickly
		t.Errorf("the push showed %d bytes", bytes)
	}

	b.params["none"] = reg.address() + "/mepc/none:1"
	b.fail(failure.NotFound, `docker.pull(P.none)`, "the registry has no")
	b.fail(failure.NotFound, `docker.push("mepc/none:1")`, "No such image")

	b.opts.Getenv = func(string) string { return "" }
	b.run(`docker.login(P.registry, {username = "me", password = "secret"}) docker.tag("mepc/app:1.0", P.ref) docker.push(P.ref)`)
	b.fail(failure.Auth, `docker.push(P.ref)`, "no basic auth credentials") // they held for that run
	reg.Close()
	b.fail(failure.Unavailable, `docker.pull(P.ref)`, "connection refused", "the engine's machine, not this one, must reach the registry")
	b.fail(failure.Invalid, `docker.pull("UPPER")`, `"UPPER" is not an image's name`)
}
