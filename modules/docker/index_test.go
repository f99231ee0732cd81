package docker_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// layout is an OCI layout that is being written.
type layout struct {
	t     *testing.T
	files map[string][]byte
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    map[string]string `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

const ociType = "application/vnd.oci.image."

func (l *layout) blob(mediaType string, b []byte) descriptor {
	digest := fmt.Sprintf("%x", sha256.Sum256(b))
	l.files["blobs/sha256/"+digest] = b
	return descriptor{MediaType: mediaType, Digest: "sha256:" + digest, Size: len(b)}
}

func (l *layout) json(mediaType string, v any) descriptor {
	b, err := json.Marshal(v)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.blob(mediaType, b)
}

// tarOf is a tar of files; each has its name as content, so many times.
func (l *layout) tarOf(files map[string][]byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			l.t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			l.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		l.t.Fatal(err)
	}
	return b.Bytes()
}

// image adds an image of an architecture with a layer for each file, as BuildKit
// writes one, and what BuildKit attests of it.
func (l *layout) image(arch string, files ...string) []descriptor {
	var layers []descriptor
	var diffs []string
	for _, f := range files {
		name, _, _ := strings.Cut(f, " ")
		raw := l.tarOf(map[string][]byte{name: []byte(f)})
		diffs = append(diffs, fmt.Sprintf("sha256:%x", sha256.Sum256(raw)))
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		if _, err := z.Write(raw); err != nil {
			l.t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			l.t.Fatal(err)
		}
		layers = append(layers, l.blob(ociType+"layer.v1.tar+gzip", packed.Bytes()))
	}
	manifest := func(config descriptor, layers []descriptor) descriptor {
		return l.json(ociType+"manifest.v1+json", map[string]any{"schemaVersion": 2, "mediaType": ociType + "manifest.v1+json", "config": config, "layers": layers})
	}
	config := l.json(ociType+"config.v1+json", map[string]any{
		"architecture": arch, "os": "linux", "created": "2026-01-02T03:04:05Z", "config": map[string]any{"Cmd": []string{"/app"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs}, "history": make([]struct{}, len(files)),
	})
	img := manifest(config, layers)
	img.Platform = map[string]string{"os": "linux", "architecture": arch}
	said := l.json("application/vnd.in-toto+json", map[string]any{"subject": img.Digest})
	of := manifest(l.json(ociType+"config.v1+json", map[string]any{
		"architecture": "unknown", "os": "unknown", "config": map[string]any{}, "rootfs": map[string]any{"type": "layers", "diff_ids": []string{said.Digest}},
	}), []descriptor{said})
	of.Platform = map[string]string{"os": "unknown", "architecture": "unknown"}
	of.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": img.Digest}
	return []descriptor{img, of}
}

// write makes an archive of the layout in which ref names an index of the manifests.
func (l *layout) write(path, ref string, manifests ...descriptor) {
	index := map[string]any{"schemaVersion": 2, "mediaType": ociType + "index.v1+json", "manifests": manifests}
	top := l.json(ociType+"index.v1+json", index)
	top.Annotations = map[string]string{"io.containerd.image.name": "docker.io/" + ref, "org.opencontainers.image.ref.name": ref[strings.Index(ref, ":")+1:]}
	b, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []descriptor{top}})
	if err != nil {
		l.t.Fatal(err)
	}
	l.files["index.json"], l.files["oci-layout"] = b, []byte(`{"imageLayoutVersion":"1.0.0"}`)
	if err := os.WriteFile(path, l.tarOf(l.files), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// BuildKit writes an index of an image and what it attests of it; a build for several
// platforms writes one of them all. Each is shipped whole as far as the engine has it,
// and laid something on.
func TestAnIndexIsShippedAndLaidOn(t *testing.T) {
	if !packed() {
		t.Skip("only the containerd image store keeps an index: make test-modern")
	}
	b := labBench(t)
	target(t, b)
	dir := t.TempDir()
	b.params["dir"] = dir
	other := "arm64"
	if runtime.GOARCH == other {
		other = "amd64"
	}
	// Noise, which does not become small.
	big := "big " + strings.Join(strings.Split(fmt.Sprintf("%x", bytes.Repeat([]byte("a layer that stays"), 60_000)), "6"), "")
	for name, write := range map[string]func(l *layout, path, ref, v string){
		"attested": func(l *layout, path, ref, v string) {
			l.write(path, ref, l.image(runtime.GOARCH, big, "small "+v)...)
		},
		"platforms": func(l *layout, path, ref, v string) {
			l.write(path, ref, append(l.image(other, "other "+v, "small "+v), l.image(runtime.GOARCH, big, "small "+v)...)...)
		},
		"partial": func(l *layout, path, ref, v string) {
			absent := (&layout{t, map[string][]byte{}}).image(other, "other "+v, "small "+v)
			l.write(path, ref, append(absent, l.image(runtime.GOARCH, big, "small "+v)...)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, v := range []string{"1", "2"} {
				write(&layout{t, map[string][]byte{}}, filepath.Join(dir, v+".tar"), "mepc/"+name+":"+v, v)
			}
			b.params["image"] = "mepc/" + name
			writeIn(t, dir, "added", "a file")
			got := b.run(`
				local to = docker.connect(P.to)
				docker.load(P.dir .. "/1.tar")
				docker.load(P.dir .. "/2.tar")
				local first = docker.ship{image = P.image .. ":1", to = to, via = "save"}
				local second = docker.ship{image = P.image .. ":2", to = to}
				to:remove_image(P.image .. ":1")
				to:save(P.image .. ":2", P.dir .. "/whole.out")
				local made = docker.append{image = P.image .. ":3", base = P.image .. ":2", add = P.dir, to = "/srv"}
				local laid = docker.image(P.image .. ":3").id == made.id
				local again = docker.append{image = P.image .. ":3", base = P.image .. ":2", add = P.dir, to = "/srv"}.bytes
				for v = 1, 3 do docker.remove_image(P.image .. ":" .. v) end
				to:remove_image(P.image .. ":2")
				return {via = second.via, layers = second.engines[1].layers, whole = second.engines[1].whole, bytes = second.bytes,
					left = #to:images{reference = "mepc-run/*"} + #docker.images{reference = "127.*/mepc-run/*"}, laid = laid, again = again}`)
			sent, _ := got.(map[string]any)["bytes"].(float64)
			if delete(got.(map[string]any), "bytes"); sent < 100 || sent > 20_000 {
				t.Errorf("%v bytes were sent", sent)
			}
			want := map[string]any{"via": "push", "layers": 1.0, "whole": "", "left": 0.0, "laid": true, "again": 0.0}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			whole, err := os.ReadFile(filepath.Join(dir, "whole.out"))
			if err != nil {
				t.Fatal(err)
			}
			// Of a partial index an engine pushes the manifest alone.
			if is := bytes.Contains(whole, []byte(`{"subject":`)); is != (name != "partial") {
				t.Errorf("what is attested came along: %v", is)
			}
		})
	}
}
