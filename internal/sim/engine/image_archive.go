package engine

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"strconv"
	"strings"
	"time"
)

// The docker-archive layout: manifest.json names, for each image, the file with
// its configuration and those with its layers, lowest first.
type manifestItem struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// keepBlob is up to what size the world keeps a layer's content. A stand-in is
// saved for larger ones.
const keepBlob = 256 << 10

// maxJSON is the maximum size of a JSON file in an archive.
const maxJSON = 16 << 20

// standIn begins the content of a file that stands for a layer whose content the
// world does not have. Its digest and size follow.
const standIn = "mepc-run rehearsal: stand-in for layer "

// textLayer makes a real layer with one small file.
func textLayer(name, text string) (*layer, error) {
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	hdr := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
	if err := tw.WriteHeader(hdr); err != nil {
		return nil, err
	}
	if _, err := tw.Write([]byte(text)); err != nil {
		return nil, err
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	return &layer{
		diffID: "sha256:" + hexSum(b.Bytes()), size: int64(len(text)), blob: b.Bytes(),
		files: map[string]bool{"/" + name: true},
	}, nil
}

// content returns what is saved for the layer.
func (l *layer) content() []byte {
	if l.blob != nil {
		return l.blob
	}
	return fmt.Appendf(nil, "%s%s %d\n", standIn, l.diffID, l.size)
}

// readLayer reads a layer's tar, compressed or not, or a stand-in.
func readLayer(r io.Reader) (*layer, error) {
	plain, err := decompress(r)
	if err != nil {
		return nil, err
	}
	br := bufio.NewReader(plain)
	if head, _ := br.Peek(len(standIn)); string(head) == standIn {
		return readStandIn(br)
	}
	l := &layer{files: map[string]bool{}}
	sum := &tee{r: br, h: sha256.New()}
	tr := tar.NewReader(sum)
	for {
		hdr, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if hdr.Typeflag != tar.TypeDir {
			l.files[path.Join("/", hdr.Name)] = true
			l.size += hdr.Size
		}
	}
	if _, err := io.Copy(io.Discard, sum); err != nil { // the padding is part of the digest
		return nil, err
	}
	l.diffID = "sha256:" + hex.EncodeToString(sum.h.Sum(nil))
	if !sum.full {
		l.blob = sum.kept
	}
	return l, nil
}

func readStandIn(r io.Reader) (*layer, error) {
	b, err := io.ReadAll(io.LimitReader(r, 1024))
	if err != nil {
		return nil, err
	}
	digest, size, ok := strings.Cut(strings.TrimSpace(string(b[len(standIn):])), " ")
	n, err := strconv.ParseInt(size, 10, 64)
	if !ok || err != nil || !isDigest(digest) {
		return nil, errors.New("a rehearsal's stand-in for a layer is damaged")
	}
	return &layer{diffID: digest, size: n}, nil
}

func isDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hex) == 64 && isHex(hex)
}

// tee hashes what is read and keeps the beginning.
type tee struct {
	r    io.Reader
	h    hash.Hash
	kept []byte
	full bool
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.h.Write(p[:n])
	if !t.full {
		if t.full = len(t.kept)+n > keepBlob; t.full {
			t.kept = nil
		} else {
			t.kept = append(t.kept, p[:n]...)
		}
	}
	return n, err
}

// decompress recognises what the engine does. xz is not modelled.
func decompress(r io.Reader) (io.Reader, error) {
	br := bufio.NewReader(r)
	head, err := br.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b, 0x08}):
		return gzip.NewReader(br)
	case bytes.HasPrefix(head, []byte("BZh")):
		return bzip2.NewReader(br), nil
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return nil, notModelled("a tar compressed by xz")
	}
	return br, nil
}
