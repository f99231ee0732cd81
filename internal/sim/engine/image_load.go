package engine

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-units"
)

// loadDir is the directory in which the engine unpacks what it loads, as its errors name it.
const loadDir = "/var/lib/docker/tmp/docker-import-000000000/"

// imageLoad answers 200 whatever is in the tar, as the engine does: what went
// wrong is in the body.
func imageLoad(c *call) (reply, error) {
	var out bytes.Buffer
	a, err := readArchive(c.req.Body)
	if err != nil {
		var api *apiError
		if errors.As(err, &api) {
			return reply{}, err
		}
		streamError(&out, err.Error())
		return reply{status: http.StatusOK, ctype: jsonType, body: out.Bytes()}, nil
	}
	now := c.timeline.Lock()
	defer c.timeline.Unlock()
	c.now = now
	if err := c.e.load(c, a, !c.flag("quiet"), &out); err != nil {
		streamError(&out, err.Error())
	}
	return reply{status: http.StatusOK, ctype: jsonType, body: out.Bytes()}, nil
}

// streamLine writes a message of a progress stream.
func streamLine(out *bytes.Buffer, text string) {
	b, _ := json.Marshal(text)
	fmt.Fprintf(out, "{\"stream\":%s}\r\n", b)
}

func streamError(out *bytes.Buffer, text string) {
	b, _ := json.Marshal(text)
	fmt.Fprintf(out, "{\"errorDetail\":{\"message\":%s},\"error\":%s}\r\n", b, b)
}

// archive holds the contents of a docker-archive tar.
type archive struct {
	manifest []manifestItem
	found    bool // whether there is a manifest
	json     map[string][]byte
	layers   map[string]*layer
}

// readArchive reads a tar to its end. Its errors are worded as the engine's,
// which unpacks the tar with a program of its own.
func readArchive(r io.Reader) (*archive, error) {
	if r == nil {
		r = http.NoBody
	}
	a := &archive{json: map[string][]byte{}, layers: map[string]*layer{}}
	plain, err := decompress(r)
	if err != nil {
		return nil, err
	}
	broken := func(err error) error { return fmt.Errorf("Error processing tar file(exit status 1): %w", err) } //nolint:staticcheck // the engine's words
	tr := tar.NewReader(plain)
	links := map[string]string{}
	for {
		hdr, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, broken(err)
		}
		name := path.Clean(hdr.Name)
		switch {
		case hdr.Typeflag == tar.TypeSymlink || hdr.Typeflag == tar.TypeLink:
			links[name] = path.Join(path.Dir(name), hdr.Linkname)
		case hdr.Typeflag != tar.TypeReg:
		default:
			if err := a.add(name, tr); err != nil {
				return nil, broken(err)
			}
		}
	}
	if raw, ok := a.json["manifest.json"]; ok {
		a.found = true
		if err := json.Unmarshal(raw, &a.manifest); err != nil {
			return nil, err
		}
	}
	for from, to := range links {
		if l := a.layers[to]; l != nil {
			a.layers[from] = l
		}
	}
	return a, nil
}

// add reads one file: JSON begins with a brace or a bracket, a layer does not.
// Newer engines name both by their digests.
func (a *archive) add(name string, r io.Reader) error {
	if name == "repositories" || strings.HasSuffix(name, "/VERSION") || path.Base(name) == "json" {
		return nil
	}
	br := bufio.NewReader(r)
	switch head, err := br.Peek(1); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	case head[0] == '{' || head[0] == '[':
		raw, err := io.ReadAll(io.LimitReader(br, maxJSON+1))
		if len(raw) > maxJSON {
			return fmt.Errorf("%s is larger than %s", name, units.BytesSize(maxJSON))
		}
		a.json[name] = raw
		return err
	}
	l, err := readLayer(br)
	a.layers[name] = l
	return err
}

func (e *Engine) load(c *call, a *archive, progress bool, out *bytes.Buffer) error {
	if !a.found {
		return fmt.Errorf("open %srepositories: no such file or directory", loadDir)
	}
	for _, m := range a.manifest {
		raw, ok := a.json[path.Clean(m.Config)]
		if !ok {
			return fmt.Errorf("open %s%s: no such file or directory", loadDir, m.Config)
		}
		i, err := parseImage(raw)
		if err != nil {
			return err
		}
		if err := e.loadLayers(i, m, a, progress, out); err != nil {
			return err
		}
		if old := e.byDigest(i.digest); old != nil {
			i = old
		} else {
			i.id, i.tagged = e.storeID(i.digest), c.now
			e.put(i)
		}
		for _, tag := range m.RepoTags {
			named, err := reference.ParseNormalizedNamed(tag)
			if err != nil {
				return err
			}
			if _, ok := named.(reference.NamedTagged); !ok {
				return fmt.Errorf("invalid tag %q", tag)
			}
			ref := reference.FamiliarString(named)
			if old, ok := e.tags[ref]; ok && old != i.id {
				streamLine(out, fmt.Sprintf("The image %s already exists, renaming the old one with ID %s to empty string\n", ref, old))
			}
			e.tag(c.now, ref, i.id)
			streamLine(out, fmt.Sprintf("Loaded image: %s\n", ref))
		}
		if len(m.RepoTags) == 0 {
			streamLine(out, fmt.Sprintf("Loaded image ID: %s\n", i.id))
		}
		e.emit(event{at: c.now, kind: "image", action: "load", id: i.id, attributes: map[string]string{"name": i.id}})
	}
	return nil
}

// loadLayers finds each layer in the store, by the chain up to it, or in the
// archive.
func (e *Engine) loadLayers(i *image, m manifestItem, a *archive, progress bool, out *bytes.Buffer) error {
	if len(m.Layers) != len(i.layers) {
		return fmt.Errorf("invalid manifest, layers length mismatch: expected %d, got %d", len(i.layers), len(m.Layers))
	}
	for n, chain := range chainIDs(i.layers) {
		if l := e.layerByChain(chain); l != nil {
			i.layers[n] = l
			continue
		}
		l := a.layers[path.Clean(m.Layers[n])]
		if l == nil {
			return fmt.Errorf("open %s%s: no such file or directory", loadDir, m.Layers[n])
		}
		if progress {
			size := units.HumanSize(float64(l.size))
			fmt.Fprintf(out, "{\"status\":\"Loading layer\",\"progressDetail\":{\"current\":%d,\"total\":%d},\"progress\":\"[%s\\u003e]  %s/%s\",\"id\":%q}\r\n",
				l.size, l.size, strings.Repeat("=", 50), size, size, short(l.diffID))
		}
		if want := i.layers[n].diffID; want != l.diffID {
			return fmt.Errorf("invalid diffID for layer %d: expected %q, got %q", n, want, l.diffID)
		}
		i.layers[n] = l
	}
	return nil
}

func (e *Engine) layerByChain(chain string) *layer {
	for _, i := range e.images {
		for n, c := range chainIDs(i.layers) {
			if c == chain {
				return i.layers[n]
			}
		}
	}
	return nil
}

// parseImage reads an image's configuration.
func parseImage(raw []byte) (*image, error) {
	var c struct {
		imageConfig
		RootFS *rootFS `json:"rootfs"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	if c.RootFS == nil {
		return nil, errors.New("invalid image JSON, no RootFS key")
	}
	if c.OS != "" && c.OS != "linux" {
		return nil, fmt.Errorf("cannot load %s image on linux", c.OS)
	}
	i := &image{digest: "sha256:" + hexSum(raw), config: c.Config, created: c.Created, history: c.History, raw: raw}
	if isDigest(c.StandIn) {
		i.digest = c.StandIn
	}
	if i.config == nil {
		i.config = &container.Config{}
	}
	for _, d := range c.RootFS.DiffIDs {
		if !isDigest(d) {
			return nil, fmt.Errorf("invalid checksum digest format: %q", d)
		}
		i.layers = append(i.layers, &layer{diffID: d})
	}
	return i, nil
}
