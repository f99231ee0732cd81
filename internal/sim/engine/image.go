package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/mepc/mepc-run/internal/state"
)

// image is an image of an engine. It is never modified: a change makes a copy,
// so that cloned worlds share images.
type image struct {
	id        string // sha256:..., as its engine's store knows it
	digest    string // of its configuration, which all engines agree on
	seq       int
	arch      string // empty: amd64
	parent    string // the local image that it was built from
	refs      []string
	config    *container.Config
	created   time.Time
	history   []historyEntry
	layers    []*layer
	tagged    time.Time // when it last got a reference
	raw       []byte    // the JSON that the ID is the hash of; nil where it is not known
	behaviour *state.Behaviour
}

// layer is a layer of an image. It is never modified.
type layer struct {
	diffID string
	size   int64
	blob   []byte          // tar; nil: a stand-in is saved for it
	files  map[string]bool // what the tar has, directories left out; nil where it is not known
}

type historyEntry struct {
	Created    time.Time `json:"created"`
	CreatedBy  string    `json:"created_by,omitempty"`
	EmptyLayer bool      `json:"empty_layer,omitempty"`
}

// imageConfig is the JSON that an image's ID is the hash of.
type imageConfig struct {
	Architecture string            `json:"architecture"`
	Config       *container.Config `json:"config"`
	Created      time.Time         `json:"created"`
	History      []historyEntry    `json:"history"`
	OS           string            `json:"os"`
	RootFS       rootFS            `json:"rootfs"`
	// StandIn is the ID of an image whose true configuration is not known. Only
	// a simulated engine believes it.
	StandIn string `json:"mepc.rehearsed_id,omitempty"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// seal encodes the image's configuration, and takes its digest unless that is given.
func (i *image) seal() error {
	c := imageConfig{
		Architecture: cmp.Or(i.arch, "amd64"), OS: "linux", Config: i.config, Created: i.created, History: i.history,
		RootFS: rootFS{"layers", diffIDs(i.layers)}, StandIn: i.digest,
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	i.raw = raw
	if i.digest == "" {
		i.digest = "sha256:" + hexSum(raw)
	}
	return nil
}

// containerdStore is the store of images that knows them by how it keeps them.
const containerdStore = "containerd"

// storeID is the ID of an image with a configuration. The containerd image store has
// another on each engine: it hangs on how the layers were compressed.
func (e *Engine) storeID(digest string) string {
	if !e.packs {
		return digest
	}
	return "sha256:" + hexSum([]byte("manifest on "+e.name+" of "+digest))
}

// byDigest finds an image by its configuration.
func (e *Engine) byDigest(digest string) *image {
	if i := e.images[e.storeID(digest)]; i != nil {
		return i
	}
	for _, i := range e.images {
		if i.digest == digest {
			return i
		}
	}
	return nil
}

func diffIDs(layers []*layer) []string {
	ids := make([]string, len(layers))
	for i, l := range layers {
		ids[i] = l.diffID
	}
	return ids
}

func hexSum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// chainIDs name each layer together with all below it, as the engine's store
// does.
func chainIDs(layers []*layer) []string {
	chain := make([]string, len(layers))
	for i, l := range layers {
		if i == 0 {
			chain[i] = l.diffID
			continue
		}
		chain[i] = "sha256:" + hexSum([]byte(chain[i-1]+" "+l.diffID))
	}
	return chain
}

func (i *image) size() int64 {
	var n int64
	for _, l := range i.layers {
		n += l.size
	}
	return n
}

// hasFile says whether a file is in the image; ok is false where that is not known.
func (i *image) hasFile(path string) (has, ok bool) {
	if len(i.layers) == 0 {
		return false, i.raw != nil
	}
	for _, l := range i.layers {
		if l.files == nil {
			return false, false
		}
		has = has || l.files[path]
	}
	return has, true
}

// version returns the version in a container's default answer.
func (i *image) version(asked string) string {
	for _, ref := range append([]string{asked}, i.refs...) {
		if _, tag := state.SplitTag(ref); tag != "" {
			return tag
		}
	}
	if v := i.config.Labels["org.opencontainers.image.version"]; v != "" {
		return v
	}
	return short(i.id)
}

// put adds or replaces an image, whose references take them from others.
func (e *Engine) put(i *image) {
	if i.seq == 0 {
		e.seq++
		i.seq = e.seq
	}
	e.images[i.id] = i
	for _, ref := range i.refs {
		e.point(ref, i.id)
	}
}

// point makes ref name the image, and no other.
func (e *Engine) point(ref, id string) {
	if old := e.images[e.tags[ref]]; old != nil && old.id != id {
		next := *old
		next.refs = slices.DeleteFunc(slices.Clone(old.refs), func(r string) bool { return r == ref })
		e.images[old.id] = &next
	}
	e.tags[ref] = id
	if i := e.images[id]; !slices.Contains(i.refs, ref) {
		next := *i
		next.refs = append(slices.Clone(i.refs), ref)
		slices.Sort(next.refs)
		e.images[id] = &next
	}
}

// unpoint takes ref away.
func (e *Engine) unpoint(ref string) {
	i := e.images[e.tags[ref]]
	delete(e.tags, ref)
	if i != nil {
		next := *i
		next.refs = slices.DeleteFunc(slices.Clone(i.refs), func(r string) bool { return r == ref })
		e.images[i.id] = &next
	}
}

// behaviourOf returns how the containers of an image behave: as its fixture
// says, else as that of a reference says.
func (e *Engine) behaviourOf(i *image, asked string) *state.Behaviour {
	if i.behaviour != nil {
		return i.behaviour
	}
	for _, ref := range append([]string{asked}, i.refs...) {
		if f := e.fixtures[ref]; f != nil && f.Behaviour != nil {
			return f.Behaviour
		}
	}
	return &state.Behaviour{}
}

// orderedImages returns the images, newest first.
func (e *Engine) orderedImages() []*image {
	all := make([]*image, 0, len(e.images))
	for _, i := range e.images {
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b *image) int {
		if c := b.created.Compare(a.created); c != 0 {
			return c
		}
		return cmp.Compare(b.seq, a.seq)
	})
	return all
}
