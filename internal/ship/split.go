package ship

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"sync"
)

// Image holds what is known about an image before its tar is read.
type Image struct {
	Layers []string // the digests of its layers uncompressed, lowest first
	Name   string   // the reference that it gets in every part; empty: none
}

// Part is one target's share of an image.
type Part struct {
	W    io.Writer // gets the tar
	Have int       // the number of the image's layers, from the lowest, that are there

	// After Split:
	Err     error // of W, which got no more from there on
	Layers  int   // how many layer files were sent
	LeftOut int64 // the bytes of those that were not

	tar *tar.Writer
}

var (
	// ErrNoImage is Split's error for a tar that no engine saved.
	ErrNoImage = errors.New("it has no manifest.json")
	// ErrNobody is Split's error when no part takes any more.
	ErrNobody = errors.New("no target accepts any more")
)

const (
	block       = 256 << 10
	maxManifest = 4 << 20 // 100 to 200 bytes for each layer
)

// Split reads the tar in which an engine saved one image, and writes to each part
// what its target lacks: the configuration, the layers that are not there, and a
// manifest in which the image has the name img.Name and no other. A file that is not
// known for a layer that is there is sent. An error is about src; a part that cannot
// be written is left behind, and keeps its error.
func Split(src io.Reader, img Image, parts ...*Part) error {
	for _, p := range parts {
		p.tar = tar.NewWriter(p.W)
	}
	s := splitter{img: img, parts: parts, files: layerFiles(img.Layers), other: map[string]bool{}, buf: make([]byte, block)}
	if err := s.run(tar.NewReader(src)); err != nil {
		return err
	}
	s.each(parts, func(p *Part) error { return p.tar.Close() })
	if s.gone() {
		return ErrNobody
	}
	_, err := io.CopyBuffer(io.Discard, src, s.buf) // the padding behind its end
	return err
}

type splitter struct {
	img   Image
	parts []*Part
	files map[string]int  // the layer files whose name is known, and which layer they are
	other map[string]bool // files that were sent to all, of which the manifest says later which are layers
	top   bool            // the top layer of the older layout has come
	buf   []byte
}

// layerFiles are the names that a layer's file can have. That of the top layer in
// the older layout is the one that is not known.
func layerFiles(diffIDs []string) map[string]int {
	files := map[string]int{}
	parent := ""
	for i, chain := range Chain(diffIDs) {
		if i < len(diffIDs)-1 {
			parent = LegacyDir(chain, parent, nil)
			files[parent+"/layer.tar"] = i
		}
		files[blobFile(diffIDs[i])] = i
	}
	return files
}

var legacyFile = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[0-9a-f]{64}/(layer\.tar|json|VERSION)?$`)
})

func (s *splitter) run(src *tar.Reader) error {
	manifest := false
	for {
		h, err := src.Next()
		switch {
		case err == io.EOF && !manifest:
			return ErrNoImage
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		name := path.Clean(h.Name)
		if h.Typeflag == tar.TypeDir {
			name += "/"
		}
		legacy := legacyFile().FindStringSubmatch(name)
		layer, isLayer := s.files[name]
		if !isLayer && legacy != nil && legacy[1] == "layer.tar" && !s.top {
			layer, isLayer, s.top = len(s.img.Layers)-1, len(s.img.Layers) > 0, true
		}
		switch {
		case name == "manifest.json":
			manifest = true
			err = s.manifest(src)
		case name == "index.json":
			err = s.index(src)
		case isLayer:
			err = s.layer(h, layer, src)
		case name == "repositories", legacy != nil && legacy[1] != "layer.tar":
			// names that we give ourselves, and what engines before 1.10 read
		default:
			s.other[name] = true
			err = s.send(h, src, s.parts)
		}
		if err != nil {
			return err
		}
		if s.gone() {
			return ErrNobody
		}
	}
}

// layer sends a layer's file to those that lack it. Of two layers with the same
// content the older layout has one file and a link.
func (s *splitter) layer(h *tar.Header, layer int, src io.Reader) error {
	var to []*Part
	for _, p := range s.parts {
		if slices.Contains(s.img.Layers[min(p.Have, len(s.img.Layers)):], s.img.Layers[layer]) {
			to = append(to, p)
			p.Layers++
		} else {
			p.LeftOut += h.Size
		}
	}
	return s.send(h, src, to)
}

// manifest sends the manifest with the image's name in this shipment.
func (s *splitter) manifest(src io.Reader) error {
	var images []map[string]json.RawMessage
	if err := json.NewDecoder(io.LimitReader(src, maxManifest)).Decode(&images); err != nil {
		return fmt.Errorf("its manifest.json: %w", err)
	}
	if len(images) != 1 {
		return fmt.Errorf("its manifest.json has %d images", len(images))
	}
	var layers []string
	if err := json.Unmarshal(images[0]["Layers"], &layers); err != nil {
		return fmt.Errorf("its manifest.json: %w", err)
	}
	for _, name := range layers {
		if s.other[path.Clean(name)] {
			s.each(s.parts, func(p *Part) error { p.Layers++; return nil })
		}
	}
	names := []string{}
	if s.img.Name != "" {
		names = append(names, s.img.Name)
	}
	var err error
	if images[0]["RepoTags"], err = json.Marshal(names); err != nil {
		return err
	}
	return s.sendJSON("manifest.json", images)
}

// index sends the index of an OCI layout, by which the containerd image store knows
// the image, with the image's name in this shipment.
func (s *splitter) index(src io.Reader) error {
	var index map[string]json.RawMessage
	var images []map[string]any
	err := json.NewDecoder(io.LimitReader(src, maxManifest)).Decode(&index)
	if err == nil {
		err = json.Unmarshal(index["manifests"], &images)
	}
	if err != nil {
		return fmt.Errorf("its index.json: %w", err)
	}
	for _, i := range images {
		if delete(i, "annotations"); s.img.Name != "" {
			i["annotations"] = annotations(s.img.Name)
		}
	}
	if index["manifests"], err = json.Marshal(images); err != nil {
		return err
	}
	return s.sendJSON("index.json", index)
}

func (s *splitter) sendJSON(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.send(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(b)), Typeflag: tar.TypeReg}, bytes.NewReader(b), s.parts)
}

// send copies one file to the parts.
func (s *splitter) send(h *tar.Header, src io.Reader, to []*Part) error {
	plain := tar.Header{Typeflag: h.Typeflag, Name: h.Name, Linkname: h.Linkname, Size: h.Size, Mode: h.Mode, ModTime: h.ModTime}
	s.each(to, func(p *Part) error { return p.tar.WriteHeader(&plain) })
	for {
		n, err := src.Read(s.buf)
		s.each(to, func(p *Part) error {
			_, err := p.tar.Write(s.buf[:n])
			return err
		})
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// each calls write for every part that still takes something.
func (s *splitter) each(parts []*Part, write func(*Part) error) {
	for _, p := range parts {
		if p.Err == nil {
			p.Err = write(p)
		}
	}
}

func (s *splitter) gone() bool {
	return len(s.parts) > 0 && !slices.ContainsFunc(s.parts, func(p *Part) bool { return p.Err == nil })
}
