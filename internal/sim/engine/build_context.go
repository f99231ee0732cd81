package engine

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

// buildContext holds the files that were sent to build from.
type buildContext map[string]contextFile

type contextFile struct {
	sum  string // of the content
	mode int64
	size int64
	text []byte // of files that may be a Dockerfile
	dir  bool
}

// maxDockerfile is up to what size a file of the context is kept as text.
const maxDockerfile = 1 << 20

// readContext reads the tar of a build to its end. Names are clean and relative.
func readContext(r io.Reader) (buildContext, error) {
	files := buildContext{}
	if r == nil {
		return files, nil
	}
	plain, err := decompress(r)
	var api *apiError
	if errors.As(err, &api) {
		return nil, err
	}
	if err != nil {
		return nil, serverError("%v", err)
	}
	tr := tar.NewReader(plain)
	for {
		hdr, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, serverError("%v", err)
		}
		name := strings.TrimPrefix(path.Clean("/"+hdr.Name), "/")
		if name == "" {
			continue
		}
		f := contextFile{mode: hdr.Mode, size: hdr.Size, dir: hdr.Typeflag == tar.TypeDir}
		h := sha256.New()
		var dst io.Writer = h
		var text bytes.Buffer
		if hdr.Size <= maxDockerfile {
			dst = io.MultiWriter(h, &text)
		}
		if _, err := io.Copy(dst, tr); err != nil {
			return nil, serverError("%v", err)
		}
		io.WriteString(h, hdr.Linkname)
		f.sum, f.text = hex.EncodeToString(h.Sum(nil)), text.Bytes()
		files[name] = f
	}
}

func (c buildContext) text(name string) (string, bool) {
	f, ok := c[strings.TrimPrefix(path.Clean("/"+name), "/")]
	return string(f.text), ok && !f.dir
}

// under returns the names of the files that src, which may be a pattern, stands
// for; of a directory all that is in it.
func (c buildContext) under(src string) []string {
	src = strings.TrimPrefix(path.Clean("/"+src), "/")
	var out []string
	for name, f := range c {
		if f.dir {
			continue
		}
		if src == "" || name == src || strings.HasPrefix(name, src+"/") {
			out = append(out, name)
		} else if ok, err := path.Match(src, name); ok && err == nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// copy is COPY and ADD: a layer that has the files by name, without content.
func (b *builder) copy(s instruction, rest string) error {
	args := s.list
	if args == nil {
		args = words(rest)
	}
	if len(args) < 2 {
		return serverError("%s requires at least two arguments, but only one was provided. Destination could not be determined.", s.cmd)
	}
	sources, dst := args[:len(args)-1], args[len(args)-1]
	files := map[string]bool{}
	var sums strings.Builder
	var size int64
	known := s.flags["from"] == ""
	for _, src := range sources {
		if strings.Contains(src, "://") {
			return notModelled("ADD of a URL (line %d of the Dockerfile)", s.line)
		}
		if !known {
			continue // from another stage: what is there is not known
		}
		names := b.files.under(src)
		clean := strings.TrimPrefix(path.Clean("/"+src), "/")
		if len(names) == 0 && !b.files[clean].dir {
			return fmt.Errorf("%s failed: file not found in build context or excluded by .dockerignore: stat %s: file does not exist", s.cmd, clean)
		}
		for _, name := range names {
			f := b.files[name]
			fmt.Fprintf(&sums, "%s %s %o\n", name, f.sum, f.mode)
			files[b.destination(dst, clean, name, len(sources) > 1)] = true
			size += f.size
		}
	}
	if from := s.flags["from"]; from != "" {
		if stage := b.stages[strings.ToLower(from)]; stage != nil {
			sums.WriteString(stage.id)
		}
	}
	b.key = hexSum([]byte(b.key + "\n" + sums.String()))
	l, err := fileLayer(files, b.key)
	if err != nil {
		return err
	}
	l.size = size
	if !known {
		l.files, b.known = nil, false
	}
	b.layers = append(b.layers, l)
	b.history = append(b.history, historyEntry{
		Created: b.now, CreatedBy: "/bin/sh -c #(nop) " + s.cmd + " file:" + b.key + " in " + dst + " ",
	})
	return nil
}

// destination returns the path in the image of a file of the context.
func (b *builder) destination(dst, src, name string, several bool) string {
	if !path.IsAbs(dst) {
		slash := strings.HasSuffix(dst, "/") || dst == "."
		dst = path.Join("/", b.config.WorkingDir, dst)
		if slash {
			dst += "/"
		}
	}
	switch {
	case name != src && (src == "" || strings.HasPrefix(name, src+"/")): // of a directory
		return path.Join(dst, strings.TrimPrefix(strings.TrimPrefix(name, src), "/"))
	case strings.HasSuffix(dst, "/") || several || name != src:
		return path.Join(dst, path.Base(name))
	}
	return path.Clean(dst)
}

// fileLayer makes a real layer that has empty files of these names, and what it
// was made from, so that other contents make another layer.
func fileLayer(files map[string]bool, key string) (*layer, error) {
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, n := range names {
		hdr := &tar.Header{Name: strings.TrimPrefix(n, "/"), Mode: 0o755, ModTime: time.Unix(0, 0), Format: tar.FormatPAX, PAXRecords: map[string]string{"MEPC.rehearsed": key}}
		if err := tw.WriteHeader(hdr); err != nil {
			return nil, err
		}
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	return &layer{diffID: "sha256:" + hexSum(buf.Bytes()), blob: buf.Bytes(), files: files}, nil
}

// parseCommand reads the JSON form of a command; nil when it is not one.
func parseCommand(s string) []string {
	var list []string
	if json.Unmarshal([]byte(s), &list) != nil {
		return nil
	}
	return list
}
