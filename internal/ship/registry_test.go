package ship_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/ship"
)

func digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// pusher pushes as an engine does.
type pusher struct {
	t   *testing.T
	url string
}

func serve(t *testing.T, r *ship.Registry) *pusher {
	t.Helper()
	s := httptest.NewServer(r)
	t.Cleanup(r.Close)
	t.Cleanup(s.Close)
	return &pusher{t, s.URL}
}

func (p *pusher) do(method, path string, body []byte) (int, http.Header) {
	p.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = p.url + path
	}
	q, err := http.NewRequestWithContext(p.t.Context(), method, path, bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header
}

// upload sends a blob in pieces, and returns the last status.
func (p *pusher) upload(name string, blob []byte, as string) int {
	p.t.Helper()
	status, h := p.do("POST", "/v2/"+name+"/blobs/uploads/", nil)
	if status != http.StatusAccepted {
		p.t.Fatalf("begin an upload: %d", status)
	}
	for len(blob) > 0 {
		n := min(len(blob), 1000)
		if status, h = p.do("PATCH", h.Get("Location"), blob[:n]); status != http.StatusAccepted {
			p.t.Fatalf("send a piece: %d", status)
		}
		blob = blob[n:]
	}
	status, _ = p.do("PUT", h.Get("Location")+"?digest="+as, nil)
	return status
}

// manifest pushes one by a name or, without, by its digest, which it returns.
func (p *pusher) manifest(name string, m ship.Manifest) string {
	p.t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		p.t.Fatal(err)
	}
	is := digest(b)
	if name == "" {
		name = is
	}
	if status, h := p.do("PUT", "/v2/a/b/manifests/"+name, b); status != http.StatusCreated || h.Get("Docker-Content-Digest") != is {
		p.t.Errorf("the manifest: %d %v", status, h)
	}
	return is
}

func TestOnlyWhatIsWantedIsAskedFor(t *testing.T) {
	t.Parallel()
	r := ship.NewRegistry()
	p := serve(t, r)
	config, known, lacking := []byte(`{}`), []byte("known"), []byte(strings.Repeat("lacking ", 1000))
	r.Want(1<<20, digest(config), digest(lacking))
	has := func(b []byte) int {
		status, _ := p.do("HEAD", "/v2/a/b/blobs/"+digest(b), nil)
		return status
	}
	if got := []int{has(config), has(known), has(lacking)}; !cmp.Equal(got, []int{404, 200, 404}) {
		t.Errorf("wanted, not wanted, wanted: %v", got)
	}
	for _, b := range [][]byte{config, lacking} {
		if status := p.upload("a/b", b, digest(b)); status != http.StatusCreated {
			t.Errorf("upload: %d", status)
		}
	}
	if has(lacking) != http.StatusOK {
		t.Error("what was pushed is not there")
	}
	is := p.manifest("1", ship.Manifest{Config: ship.Descriptor{Digest: digest(config)}, Layers: []ship.Descriptor{{Digest: digest(known)}, {Digest: digest(lacking)}}})
	for _, asked := range []string{"", is} {
		m := r.Pushed(asked, 2)
		if m == nil || m.Config.Digest != digest(config) || m.Index != nil || m.Top() != m.Manifest {
			t.Fatalf("asked for %q: %v", asked, m)
		}
	}
	if r.Pushed("", 1) != nil || r.Pushed(digest(config), 2) != nil {
		t.Error("what was not pushed is there")
	}
	var copies [3]bytes.Buffer
	var g sync.WaitGroup
	for i := range copies { // as many targets read it
		g.Go(func() {
			if err := r.Copy(&copies[i], digest(lacking)); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	for i := range copies {
		if !bytes.Equal(copies[i].Bytes(), lacking) {
			t.Errorf("copy %d is another", i)
		}
	}
	if _, kept := r.Size(digest(known)); kept || r.Copy(io.Discard, digest(known)) == nil {
		t.Error("what was never sent is said to be kept")
	}
}

func TestWhatFindsNoRoomIsDroppedAndTakenWhenItIsWanted(t *testing.T) {
	t.Parallel()
	r := ship.NewRegistry()
	p := serve(t, r)
	large, small := []byte(strings.Repeat("large ", 2000)), []byte("small")
	r.Want(5000)
	for _, b := range [][]byte{large, small} {
		if status := p.upload("a", b, digest(b)); status != http.StatusCreated {
			t.Errorf("upload: %d", status)
		}
	}
	if _, kept := r.Size(digest(large)); kept {
		t.Error("what finds no room was kept")
	}
	if n, kept := r.Size(digest(small)); !kept || n != int64(len(small)) {
		t.Error("what is dropped takes the room of what comes after it")
	}
	r.Want(1<<20, digest(large))
	if status, _ := p.do("HEAD", "/v2/a/blobs/"+digest(large), nil); status != http.StatusNotFound {
		t.Errorf("what was dropped is said to be there: %d", status)
	}
	p.upload("a", large, digest(large))
	if n, kept := r.Size(digest(large)); !kept || n != int64(len(large)) {
		t.Error("what was wanted is not kept")
	}
}

func TestABlobIsWhatItsDigestSays(t *testing.T) {
	t.Parallel()
	r := ship.NewRegistry()
	p := serve(t, r)
	r.Want(1 << 20)
	if status := p.upload("a", []byte("this"), digest([]byte("that"))); status != http.StatusBadRequest {
		t.Errorf("a blob with another digest: %d", status)
	}
	if _, kept := r.Size(digest([]byte("that"))); kept {
		t.Error("it was kept")
	}
}

func TestABlobIsMountedOrItsUploadIsCancelled(t *testing.T) {
	t.Parallel()
	r := ship.NewRegistry()
	p := serve(t, r)
	there, lacking := digest([]byte("there")), digest([]byte("lacking"))
	r.Want(0, lacking)
	if status, _ := p.do("POST", "/v2/a/blobs/uploads/?from=b&mount="+there, nil); status != http.StatusCreated {
		t.Errorf("mount what is there: %d", status)
	}
	status, h := p.do("POST", "/v2/a/blobs/uploads/?from=b&mount="+lacking, nil)
	if status != http.StatusAccepted {
		t.Errorf("mount what is not there: %d", status)
	}
	if status, _ := p.do("DELETE", h.Get("Location"), nil); status != http.StatusNoContent {
		t.Errorf("cancel: %d", status)
	}
	if status, _ := p.do("PATCH", h.Get("Location"), []byte("x")); status != http.StatusNotFound {
		t.Errorf("go on after cancel: %d", status)
	}
}

// What BuildKit builds is an index, which lists what is attested of an image beside it.
func TestAnImageIsFoundInAnIndex(t *testing.T) {
	t.Parallel()
	r := ship.NewRegistry()
	p := serve(t, r)
	r.Want(0)
	layers := []ship.Descriptor{{Digest: "sha256:1"}} // what is attested looks the same
	one := p.manifest("", ship.Manifest{Config: ship.Descriptor{Digest: "sha256:a"}, Layers: layers})
	other := p.manifest("", ship.Manifest{Config: ship.Descriptor{Digest: "sha256:b"}, Layers: layers})
	of := func(image, config string) ship.Descriptor {
		d := p.manifest("", ship.Manifest{Config: ship.Descriptor{Digest: config}, Layers: layers})
		return ship.Descriptor{Digest: d, Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image}}
	}
	ofOne, ofOther := of(one, "sha256:c"), of(other, "sha256:d")
	if r.Pushed("", 1) != nil {
		t.Error("no name was pushed, and there is an image")
	}
	p.manifest("latest", ship.Manifest{Manifests: []ship.Descriptor{{Digest: one}, ofOne, {Digest: "sha256:elsewhere"}}})
	for _, asked := range []string{"", one} {
		m := r.Pushed(asked, 1)
		if m == nil || m.Config.Digest != "sha256:a" || m.Top() != m.Index || len(m.Attested) != 1 || m.Attested[0].Config.Digest != "sha256:c" {
			t.Errorf("of one platform, asked for %q: %+v", asked, m)
		}
	}
	p.manifest("latest", ship.Manifest{Manifests: []ship.Descriptor{{Digest: one}, {Digest: other}, ofOther, ofOne}})
	if r.Pushed("", 1) != nil {
		t.Error("of two platforms one was chosen")
	}
	if m := r.Pushed(other, 1); m == nil || m.Config.Digest != "sha256:b" || len(m.Attested) != 1 || m.Attested[0].Config.Digest != "sha256:d" {
		t.Errorf("of two platforms: %+v", m)
	}
	if r.Pushed(ofOne.Digest, 1) != nil || r.Pushed("sha256:elsewhere", 1) != nil {
		t.Error("what is attested, or what was not pushed, is an image")
	}
}

// An engine sends what it likes; nothing of it may stop the process.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/v2/", "")
	f.Add("HEAD", "/v2/a/blobs/sha256:00", "")
	f.Add("POST", "/v2/a/blobs/uploads/?mount=sha256:00", "")
	f.Add("PATCH", "/v2/a/blobs/uploads/1", "x")
	f.Add("PUT", "/v2/a/blobs/uploads/1?digest=sha256:00", "x")
	f.Add("PUT", "/v2/a/manifests/1", `{"layers":[{"digest":"x"}],"config":{"digest":"x"}}`)
	f.Add("PUT", "/v2/a/manifests/1", `{"manifests":[]}`)
	f.Add("PUT", "/v2/a/manifests/1", `{"manifests":[{"digest":"sha256:00"}]}`)
	f.Fuzz(func(t *testing.T, method, path, body string) {
		q, err := http.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		r := ship.NewRegistry()
		defer r.Close()
		r.Want(100, "sha256:00")
		r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/v2/a/blobs/uploads/", nil))
		w := httptest.NewRecorder()
		r.ServeHTTP(w, q)
		if w.Code < 200 || w.Code > 499 {
			t.Errorf("%s %q: %d", method, path, w.Code)
		}
		if m := r.Pushed("", 1); m != nil && len(m.Layers) != 1 {
			t.Errorf("a manifest of %d layers", len(m.Layers))
		}
	})
}
