package docker

import (
	"archive/tar"
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/mepc/mepc-run/internal/failure"
)

// saved is one image of a tar that an engine saved.
type saved struct {
	Config   string   // the path of its configuration, which is its digest
	RepoTags []string // its names
	Layers   []string // the paths of its layers
}

// id returns the digest of the configuration, which is the image's ID in the
// classic store: from "blobs/sha256/<hex>" or, before version 25, "<hex>.json".
func (s saved) id() string {
	hex := strings.TrimSuffix(s.Config[strings.LastIndex(s.Config, "/")+1:], ".json")
	return "sha256:" + hex
}

var (
	errCompressed = errors.New("it is compressed")
	errNoTar      = errors.New("it is no tar")
	errNoManifest = errors.New("it has no manifest.json")
	errLayout     = errors.New("it is an OCI layout")
)

// maxManifest bounds manifest.json, which has some 100 bytes for each layer.
const maxManifest = 4 << 20

// readArchive reads a tar to its end.
func readArchive(r io.Reader) ([]saved, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, _ := b.Peek(6) // a shorter one is no tar either
	for _, magic := range []string{"\x1f\x8b", "BZh", "\xfd7zXZ", "\x28\xb5\x2f\xfd"} {
		if strings.HasPrefix(string(head), magic) {
			return nil, errCompressed
		}
	}
	var images []saved
	found, layout := false, false
	t := tar.NewReader(b)
	for first := true; ; first = false {
		h, err := t.Next()
		if first && err != nil && err != io.EOF {
			return nil, errNoTar
		}
		if err == io.EOF && found {
			return images, nil
		}
		if err == io.EOF && layout {
			return nil, errLayout
		}
		if err == io.EOF {
			return nil, errNoManifest
		}
		if err != nil {
			return images, err
		}
		layout = layout || h.Name == "oci-layout"
		if h.Name != "manifest.json" {
			continue
		}
		found = true
		images = nil
		if err := json.NewDecoder(io.LimitReader(t, maxManifest)).Decode(&images); err != nil {
			return nil, fmt.Errorf("its manifest.json: %w", err)
		}
	}
}

// source is a tar on its way, from a file or an engine to a file or an engine:
// it counts what is read, looks at it as it passes, and keeps its own end's
// error, which an HTTP client would bury. It is a request's body: whoever reads
// it closes it.
type source struct {
	r io.Reader
	m *meter

	scan   *io.PipeWriter
	done   chan struct{} // closed when the scan has ended
	closed chan struct{}
	once   sync.Once

	mu  sync.Mutex
	eof bool
	err error

	images  []saved // after done
	scanErr error
}

func newSource(r io.Reader, m *meter) *source {
	in, out := io.Pipe()
	s := &source{r: r, m: m, scan: out, done: make(chan struct{}), closed: make(chan struct{})}
	failure.Go(func() error {
		defer close(s.done)
		s.scanErr = failure.Protect(func() (err error) {
			s.images, err = readArchive(in)
			return err
		})
		_, err := io.Copy(io.Discard, in) // the reader is never held up
		return err
	})
	return s
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.m.add(n)
	_, _ = s.scan.Write(p[:n]) // fails only after finish
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.eof = err == io.EOF; !s.eof && s.err == nil {
			s.err = err
		}
	}
	return n, err
}

// Close ends the reading.
func (s *source) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// failed returns the error of the end that is read from.
func (s *source) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// finish returns which images the tar has. With all, what nobody has read yet
// is read first: whoever takes a tar need not read the padding at its end. An
// error is about the tar; it is nil when too little was read to know.
func (s *source) finish(all bool) ([]saved, error) {
	if all {
		_, _ = io.Copy(io.Discard, s) // failed has the error
	}
	_ = s.scan.Close() // never fails
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.eof && errors.Is(s.scanErr, io.ErrUnexpectedEOF) {
		return s.images, nil
	}
	return s.images, s.scanErr
}
