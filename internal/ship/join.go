package ship

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/distribution/reference"
)

// File is a file of a tar that is not in memory.
type File struct {
	Size    int64
	WriteTo func(io.Writer) error
}

// InMemory is a file with these bytes.
func InMemory(b []byte) *File {
	return &File{int64(len(b)), func(w io.Writer) error { _, err := w.Write(b); return err }}
}

// Join writes the tar of an image from its parts: its configuration, and the files of
// its layers, lowest first. A nil one is left out, for an engine that has the layer.
// Each may be compressed in a way that the engine knows.
func Join(w io.Writer, name string, config []byte, layers []*File) error {
	j := joiner{tar: tar.NewWriter(w)}
	names := make([]string, len(layers))
	j.add("config.json", InMemory(config))
	for i, f := range layers {
		names[i] = fmt.Sprintf("%d/layer.tar", i)
		if f != nil {
			j.add(names[i], f)
		}
	}
	j.addJSON("manifest.json", []any{map[string]any{"Config": "config.json", "RepoTags": []string{name}, "Layers": names}})
	return j.close()
}

// JoinLayout writes an image as an OCI layout, which is what the containerd image
// store takes without all blobs: its manifests, and of what they list the given blobs,
// by digest.
func JoinLayout(w io.Writer, name string, p *Pushed, blobs map[string]*File) error {
	j := joiner{tar: tar.NewWriter(w)}
	j.addJSON("oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"})
	for _, m := range p.manifests() {
		j.add(blobFile("sha256:"+sum(m.Raw)), InMemory(m.Raw))
	}
	for _, d := range slices.Sorted(maps.Keys(blobs)) {
		j.add(blobFile(d), blobs[d])
	}
	top := p.Top()
	j.addJSON("index.json", map[string]any{"schemaVersion": 2, "manifests": []any{map[string]any{
		"mediaType": top.MediaType, "digest": "sha256:" + sum(top.Raw), "size": len(top.Raw), "annotations": annotations(name),
	}}})
	return j.close()
}

// blobFile returns the path of a blob in an OCI layout.
func blobFile(digest string) string { return "blobs/sha256/" + strings.TrimPrefix(digest, "sha256:") }

// annotations tell the containerd image store an image's name, which it wants in full.
func annotations(name string) map[string]string {
	full, tag := name, ""
	if ref, err := reference.ParseNormalizedNamed(name); err == nil {
		full = ref.String()
		if tagged, ok := ref.(reference.Tagged); ok {
			tag = tagged.Tag()
		}
	}
	return map[string]string{"io.containerd.image.name": full, "org.opencontainers.image.ref.name": tag}
}

// joiner writes a tar until something fails.
type joiner struct {
	tar *tar.Writer
	err error
}

func (j *joiner) add(name string, f *File) {
	if j.err == nil {
		j.err = j.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: f.Size})
	}
	if j.err == nil {
		j.err = f.WriteTo(j.tar)
	}
}

func (j *joiner) addJSON(name string, v any) {
	b, err := json.Marshal(v)
	if err != nil && j.err == nil {
		j.err = err
		return
	}
	j.add(name, InMemory(b))
}

func (j *joiner) close() error {
	if j.err != nil {
		return j.err
	}
	return j.tar.Close()
}
