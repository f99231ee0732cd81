package ship

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Registry takes pushes of one image, and keeps only what is wanted of it: a handler
// of the distribution API that says of every blob but the wanted ones that it is
// there. So an engine that has pushed an image's layers before sends nothing of
// them, and nothing reads them either; what it sends is on disk, or is dropped.
// Close removes what is kept.
//
// The API is https://distribution.github.io/distribution/spec/api/ as far as docker
// push goes; nothing can be pulled.
type Registry struct {
	reached   chan struct{}
	once      sync.Once
	mu        sync.Mutex
	wanted    []string
	room      int64 // bytes that may still be kept
	uploads   map[string]*upload
	blobs     map[string]*upload
	manifests map[string]*Manifest // by digest
	named     *Manifest            // the one that was pushed by a name last
	next      int
}

// NewRegistry returns a registry that has everything, and wants nothing.
func NewRegistry() *Registry {
	return &Registry{
		reached: make(chan struct{}), uploads: map[string]*upload{}, blobs: map[string]*upload{}, manifests: map[string]*Manifest{},
	}
}

// Want says which blobs the next push is to bring, by their digests; all others are
// said to be there. What an engine sends all the same, since it does not know a
// digest yet, is kept as well, as long as all of it together takes no more than room
// bytes; the rest of it is dropped as it comes.
func (r *Registry) Want(room int64, digests ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted, r.room, r.manifests, r.named = digests, room, map[string]*Manifest{}, nil
}

// Reached is closed when the first request comes.
func (r *Registry) Reached() <-chan struct{} { return r.reached }

// Manifest lists what a pushed image consists of, or, as an index, which
// images it has for several platforms.
type Manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        Descriptor   `json:"config"`
	Layers        []Descriptor `json:"layers"`              // lowest first
	Manifests     []Descriptor `json:"manifests,omitempty"` // of an index

	Raw []byte `json:"-"` // as it was pushed
}

// Descriptor names a blob or a manifest. The size of a blob that was said to be there
// means nothing.
type Descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// attests is the annotation by which BuildKit says of which image a manifest of an
// index tells something.
const attests = "vnd.docker.reference.digest"

// Pushed is an image as it was pushed.
type Pushed struct {
	*Manifest           // of the platform that was asked for
	Index     *Manifest // lists it; nil: it was pushed alone
	// Attested are the index's manifests of what is said of the image: how it was
	// built, and what it is made of.
	Attested []*Manifest
}

// Top is the manifest that the image's name stands for.
func (p *Pushed) Top() *Manifest {
	if p.Index != nil {
		return p.Index
	}
	return p.Manifest
}

// manifests are all of its manifests.
func (p *Pushed) manifests() []*Manifest {
	list := append([]*Manifest{p.Manifest}, p.Attested...)
	if p.Index != nil {
		list = append(list, p.Index)
	}
	return list
}

// Pushed returns the image that was pushed: of an index the manifest with the digest,
// or without one its only image. Nil: what was pushed is not that image, or it has
// not so many layers.
func (r *Registry) Pushed(digest string, layers int) *Pushed {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.named == nil {
		return nil
	}
	p := &Pushed{Manifest: r.named}
	if r.named.Config.Digest == "" {
		if p = r.listed(digest); p == nil {
			return nil
		}
	} else if digest != "" && digest != "sha256:"+sum(r.named.Raw) {
		return nil
	}
	if len(p.Layers) != layers {
		return nil
	}
	return p
}

// listed takes the image out of the index that was pushed.
func (r *Registry) listed(digest string) *Pushed {
	p := &Pushed{Index: r.named}
	attested := map[string][]*Manifest{}
	for _, d := range r.named.Manifests {
		m, of := r.manifests[d.Digest], d.Annotations[attests]
		switch {
		case m == nil: // it is for a platform that the engine lacks
		case of != "":
			attested[of] = append(attested[of], m)
		case digest != "" && digest != d.Digest:
		case p.Manifest != nil && p.Manifest != m:
			return nil // it has two, and it is unknown which
		default:
			p.Manifest = m
		}
	}
	if p.Manifest == nil || p.Config.Digest == "" {
		return nil
	}
	p.Attested = attested["sha256:"+sum(p.Raw)]
	return p
}

// Size returns how many bytes a blob has that was kept.
func (r *Registry) Size(digest string) (int64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u, ok := r.blobs[digest]
	if !ok {
		return 0, false
	}
	return u.size, true
}

// Copy writes a blob that was kept. Any number may be copied at the same time.
func (r *Registry) Copy(w io.Writer, digest string) error {
	r.mu.Lock()
	u := r.blobs[digest]
	r.mu.Unlock()
	if u == nil {
		return fmt.Errorf("blob %s was not kept", digest)
	}
	_, err := io.Copy(w, io.NewSectionReader(u.file, 0, u.size))
	return err
}

// Close removes what was kept. No push may be going on any more.
func (r *Registry) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.uploads {
		u.drop()
	}
	for _, u := range r.blobs {
		u.drop()
	}
}

var paths = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^/v2/(.+)/(blobs/uploads|blobs|manifests)/([^/]*)$`)
})

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.once.Do(func() { close(r.reached) })
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if q.URL.Path == "/v2/" {
		return
	}
	m := paths().FindStringSubmatch(q.URL.Path)
	if m == nil {
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "no such path")
		return
	}
	name, last := m[1], m[3]
	switch m[2] + " " + q.Method {
	case "blobs HEAD":
		if !r.has(last) {
			refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "wanted")
			return
		}
		w.Header().Set("Docker-Content-Digest", last)
		w.Header().Set("Content-Length", "0") // nobody asks again
	case "blobs/uploads POST":
		r.begin(w, q, name)
	case "blobs/uploads PATCH", "blobs/uploads PUT":
		r.upload(w, q, name, last)
	case "blobs/uploads DELETE": // the engine found the blob in another way
		r.cancel(last)
		w.WriteHeader(http.StatusNoContent)
	case "manifests PUT":
		r.manifest(w, q, last)
	case "manifests HEAD", "manifests GET":
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "no such manifest")
	default:
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "only pushes are taken")
	}
}

func refuse(w http.ResponseWriter, status int, code, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]string{"code": code, "message": text}}}) // the engine may be gone
}

// has reports whether a blob need not be sent.
func (r *Registry) has(digest string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.blobs[digest] != nil || !slices.Contains(r.wanted, digest)
}

// begin begins an upload, or says that the blob is there.
func (r *Registry) begin(w http.ResponseWriter, q *http.Request, name string) {
	if digest := q.URL.Query().Get("mount"); digest != "" && r.has(digest) {
		w.Header().Set("Location", "/v2/"+name+"/blobs/"+digest)
		w.Header().Set("Docker-Content-Digest", digest)
		w.WriteHeader(http.StatusCreated)
		return
	}
	r.mu.Lock()
	r.next++
	id := strconv.Itoa(r.next)
	r.uploads[id] = &upload{sum: sha256.New()}
	r.mu.Unlock()
	accept(w, name, id, 0)
}

func accept(w http.ResponseWriter, name, id string, size int64) {
	w.Header().Set("Location", "/v2/"+name+"/blobs/uploads/"+id)
	w.Header().Set("Docker-Upload-UUID", id)
	w.Header().Set("Range", "0-"+strconv.FormatInt(max(size-1, 0), 10))
	w.WriteHeader(http.StatusAccepted)
}

func (r *Registry) cancel(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u := r.uploads[id]; u != nil {
		u.drop()
	}
	delete(r.uploads, id)
}

// upload takes the bytes of a blob, and for PUT ends it.
func (r *Registry) upload(w http.ResponseWriter, q *http.Request, name, id string) {
	r.mu.Lock()
	u := r.uploads[id]
	delete(r.uploads, id) // nobody else writes to it meanwhile
	r.mu.Unlock()
	if u == nil {
		refuse(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "no such upload")
		return
	}
	if err := r.take(u, q.Body); err != nil {
		u.drop()
		refuse(w, http.StatusInternalServerError, "BLOB_UPLOAD_INVALID", err.Error())
		return
	}
	if q.Method == http.MethodPatch {
		r.mu.Lock()
		r.uploads[id] = u
		r.mu.Unlock()
		accept(w, name, id, u.size)
		return
	}
	digest := q.URL.Query().Get("digest")
	if got := "sha256:" + hex.EncodeToString(u.sum.Sum(nil)); got != digest {
		u.drop()
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "it has digest "+got)
		return
	}
	r.mu.Lock()
	if u.file != nil && r.blobs[digest] == nil {
		r.blobs[digest] = u
	} else {
		u.drop()
	}
	r.mu.Unlock()
	w.Header().Set("Location", "/v2/"+name+"/blobs/"+digest)
	w.Header().Set("Docker-Content-Digest", digest)
	w.WriteHeader(http.StatusCreated)
}

// manifest takes what the image consists of, by its name or its digest.
func (r *Registry) manifest(w http.ResponseWriter, q *http.Request, ref string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, maxManifest))
	m := &Manifest{}
	if err == nil {
		err = json.Unmarshal(body, m)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "MANIFEST_INVALID", err.Error())
		return
	}
	m.Raw = body
	digest := "sha256:" + sum(body)
	r.mu.Lock()
	r.manifests[digest] = m
	if !strings.Contains(ref, ":") { // no digest
		r.named = m
	}
	r.mu.Unlock()
	w.Header().Set("Location", q.URL.Path)
	w.Header().Set("Docker-Content-Digest", digest)
	w.WriteHeader(http.StatusCreated)
}

// take reads a part of a blob, onto disk as long as there is room.
func (r *Registry) take(u *upload, body io.Reader) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := body.Read(buf)
		u.sum.Write(buf[:n])
		u.size += int64(n)
		if n > 0 && !u.dropped {
			if werr := r.keep(u, buf[:n]); werr != nil {
				return werr
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *Registry) keep(u *upload, p []byte) error {
	r.mu.Lock()
	r.room -= int64(len(p))
	full := r.room < 0
	if full {
		r.room += u.size
	}
	r.mu.Unlock()
	if full {
		u.drop()
		return nil
	}
	return u.write(p)
}
