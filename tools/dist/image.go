package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// image writes an image of the binary alone as a tar: an OCI layout, and beside it the
// list by which docker load, old and new, finds the same blobs.
func image(binary, arch string, r *release) func(*os.File) error {
	return func(f *os.File) error {
		tag := "mepc/mepc-run:" + tagOf(r.version)
		img, err := assemble(binary, arch, r)
		if err != nil {
			return err
		}
		dir, err := os.MkdirTemp("", "mepc-dist-image-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
			Add: img,
			Descriptor: v1.Descriptor{
				Platform:    &v1.Platform{OS: "linux", Architecture: arch},
				Annotations: map[string]string{"io.containerd.image.name": "docker.io/" + tag, "org.opencontainers.image.ref.name": tagOf(r.version)},
			},
		})
		if _, err := layout.Write(dir, index); err != nil {
			return err
		}
		if err := writeLoadList(filepath.Join(dir, "manifest.json"), img, tag); err != nil {
			return err
		}
		t := tar.NewWriter(f)
		if err := pack(t, os.DirFS(dir), r.time); err != nil {
			return err
		}
		return t.Close()
	}
}

// assemble returns the image: one layer with the binary, started by its name.
func assemble(binary, arch string, r *release) (v1.Image, error) {
	program, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	var files bytes.Buffer
	t := tar.NewWriter(&files)
	// A place for the state, and one for recipes; /tmp is for what docker.build and ship spool.
	for _, dir := range []struct {
		name string
		mode int64
	}{{"recipes/", 0o755}, {"state/", 0o700}, {"tmp/", 0o1777}} {
		if err := t.WriteHeader(&tar.Header{Name: dir.name, Typeflag: tar.TypeDir, Mode: dir.mode, ModTime: r.time}); err != nil {
			return nil, err
		}
	}
	if err := t.WriteHeader(&tar.Header{Name: "mepc-run", Mode: 0o755, Size: int64(len(program)), ModTime: r.time}); err != nil {
		return nil, err
	}
	if _, err := t.Write(program); err != nil {
		return nil, err
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil })
	if err != nil {
		return nil, err
	}
	img, err := mutate.Append(empty.Image, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: r.time}, CreatedBy: "make dist"}})
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", arch, v1.Time{Time: r.time}
	config.Config = v1.Config{
		Entrypoint: []string{"/mepc-run"}, WorkingDir: "/recipes", Env: []string{"PATH=/", "MEPC_STATE=/state"}, Volumes: map[string]struct{}{"/state": {}},
		Labels: map[string]string{"org.opencontainers.image.version": r.version, "org.opencontainers.image.revision": r.commit, "org.opencontainers.image.source": "https://github.com/mepc/mepc-run"},
	}
	return mutate.ConfigFile(img, config)
}

// writeLoadList writes docker save's list of images, which names the layout's blobs.
func writeLoadList(path string, img v1.Image, tag string) error {
	blob := func(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
	manifest, err := img.Manifest()
	if err != nil {
		return err
	}
	entry := struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{Config: blob(manifest.Config.Digest), RepoTags: []string{tag}}
	for _, l := range manifest.Layers {
		entry.Layers = append(entry.Layers, blob(l.Digest))
	}
	text, err := json.Marshal([]any{entry})
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// tagOf is the version as an image's tag, which knows no + and ~.
func tagOf(version string) string {
	return string(bytes.Map(func(r rune) rune {
		if r == '+' || r == '~' {
			return '-'
		}
		return r
	}, []byte(version)))
}
