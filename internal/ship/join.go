package ship

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
)

// File is a file of a tar that is not in memory.
type File struct {
	Size    int64
	WriteTo func(io.Writer) error
}

// Join writes the tar of an image from its parts: its configuration, and the files of
// its layers, lowest first. A nil one is left out, for an engine that has the layer.
// Each may be compressed in a way that the engine knows.
func Join(w io.Writer, name string, config []byte, layers []*File) error {
	t := tar.NewWriter(w)
	names := make([]string, len(layers))
	for i := range layers {
		names[i] = fmt.Sprintf("%d/layer.tar", i)
	}
	manifest, err := json.Marshal([]any{map[string]any{"Config": "config.json", "RepoTags": []string{name}, "Layers": names}})
	if err != nil {
		return err
	}
	add := func(name string, size int64, write func(io.Writer) error) {
		if err == nil {
			err = t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size})
		}
		if err == nil {
			err = write(t)
		}
	}
	bytes := func(b []byte) func(io.Writer) error {
		return func(w io.Writer) error { _, err := w.Write(b); return err }
	}
	add("config.json", int64(len(config)), bytes(config))
	for i, f := range layers {
		if f != nil {
			add(names[i], f.Size, f.WriteTo)
		}
	}
	add("manifest.json", int64(len(manifest)), bytes(manifest))
	if err != nil {
		return err
	}
	return t.Close()
}
