package servers

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/mepc/mepc-run/internal/failure"
)

// BuildContext is a directory as a build sees it: without what .dockerignore
// names.
type BuildContext struct {
	Bytes int64 // of all its files
	Files int

	dir        string
	dockerfile string
	entries    []contextEntry
}

type contextEntry struct {
	name string // relative, with slashes
	info fs.FileInfo
}

// BuildContext reads the directory dir; dockerfile is relative to it and must
// be there. Everything that could fail before the first byte is sent fails
// here: a file that cannot be read is an error, not one file less.
func (w *Clients) BuildContext(dir, dockerfile string, buildkit bool) (*BuildContext, error) {
	dir, err := w.wire.Files.Path(dir)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, missing(err, "build context")
	}
	dockerfile = filepath.Clean(dockerfile)
	if !filepath.IsLocal(dockerfile) {
		return nil, failure.New(failure.Invalid, "the Dockerfile %s is not within the build context %s", dockerfile, dir)
	}
	info, err := os.Stat(filepath.Join(dir, dockerfile))
	if err != nil {
		return nil, missing(err, "Dockerfile")
	}
	if !info.Mode().IsRegular() {
		return nil, failure.New(failure.Invalid, "the Dockerfile %s is not a file", filepath.Join(dir, dockerfile))
	}
	ignored, err := w.readIgnore(dir, filepath.ToSlash(dockerfile), buildkit)
	if err != nil {
		return nil, err
	}
	c := &BuildContext{dir: dir, dockerfile: dockerfile}
	if err := filepath.WalkDir(dir, c.visit(ignored)); err != nil {
		return nil, fmt.Errorf("read the build context: %w", err)
	}
	return c, nil
}

// maxDockerfile bounds what is read of a Dockerfile that something is to be shown of.
const maxDockerfile = 1 << 20

// Dockerfile returns what the Dockerfile says, as far as it can be read.
func (c *BuildContext) Dockerfile() string {
	f, err := os.Open(filepath.Join(c.dir, c.dockerfile))
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, maxDockerfile))
	return string(text)
}

// Directory reads all of the directory dir, to be made a Layer.
func (w *Clients) Directory(dir string) (*BuildContext, error) {
	dir, err := w.wire.Files.Path(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, missing(err, "directory")
	}
	all, err := patternmatcher.New(nil)
	if err != nil {
		return nil, err
	}
	c := &BuildContext{dir: dir}
	if err := filepath.WalkDir(dir, c.visit(all)); err != nil {
		return nil, missing(err, "directory")
	}
	if len(c.entries) == 0 {
		return nil, failure.New(failure.Invalid, "there is nothing in the directory %s", dir)
	}
	return c, nil
}

func missing(err error, what string) error {
	kind := failure.Invalid
	if errors.Is(err, fs.ErrNotExist) {
		kind = failure.NotFound
	}
	return failure.Wrap(kind, err, "%s", what).
		WithHint("paths are relative to the directory in which mepc-run was started")
}

// readIgnore reads .dockerignore or, for BuildKit, that of the Dockerfile where it has
// one. It cannot take away the files that the build itself needs: the Dockerfile and, for
// the classic builder, .dockerignore.
func (w *Clients) readIgnore(dir, dockerfile string, buildkit bool) (*patternmatcher.PatternMatcher, error) {
	needed, names := []string{"!.dockerignore", "!" + dockerfile}, []string{".dockerignore"}
	if buildkit {
		needed, names = needed[1:], []string{dockerfile + ".dockerignore", ".dockerignore"}
	}
	var name string
	var f io.ReadCloser
	var err error
	for _, n := range names {
		name = filepath.Join(dir, n)
		if f, _, err = w.Open(name); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return patternmatcher.New(nil)
	}
	if failure.As(err) != nil {
		return nil, err
	}
	if err != nil {
		return nil, missing(err, ".dockerignore")
	}
	defer f.Close()
	patterns, err := ignorefile.ReadAll(f)
	if err == nil {
		var m *patternmatcher.PatternMatcher
		if m, err = patternmatcher.New(append(patterns, needed...)); err == nil {
			return m, nil
		}
	}
	return nil, failure.Wrap(failure.Invalid, err, "%s", name)
}

func (c *BuildContext) visit(ignored *patternmatcher.PatternMatcher) fs.WalkDirFunc {
	return func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(c.dir, path)
		if err != nil || rel == "." {
			return err
		}
		skip, err := ignored.MatchesOrParentMatches(rel)
		if err != nil {
			return err
		}
		if skip {
			if d.IsDir() && !mayReturn(ignored, rel) {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case info.Mode().IsRegular():
			f, err := os.Open(path) // whether it can be read
			if err != nil {
				return err
			}
			f.Close()
			c.Bytes += info.Size()
			c.Files++
		case !info.IsDir() && info.Mode()&fs.ModeSymlink == 0:
			return nil // sockets, pipes and devices, as docker build
		}
		c.entries = append(c.entries, contextEntry{name: filepath.ToSlash(rel), info: info})
		return nil
	}
}

// mayReturn reports whether a pattern that begins with ! may bring back
// something below the ignored directory dir.
func mayReturn(ignored *patternmatcher.PatternMatcher, dir string) bool {
	if !ignored.Exclusions() {
		return false
	}
	for _, p := range ignored.Patterns() {
		if !p.Exclusion() {
			continue
		}
		if text := p.String(); strings.HasPrefix(text+string(filepath.Separator), dir+string(filepath.Separator)) || strings.ContainsAny(text, "*?[") {
			return true
		}
	}
	return false
}

// Layer writes the directory to w as a layer of an image in which it is at the path
// to. The same files make the same bytes, whoever has them, since when.
func (c *BuildContext) Layer(w io.Writer, to string) error {
	t := tar.NewWriter(w)
	to = strings.Trim(to, "/")
	if to != "" {
		err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: to + "/", Mode: 0o755, ModTime: time.Unix(0, 0), Format: tar.FormatPAX})
		if err != nil {
			return err
		}
	}
	for _, e := range c.entries {
		err := c.write(t, e, func(h *tar.Header) {
			h.Name = strings.TrimPrefix(to+"/"+h.Name, "/")
			h.ModTime, h.AccessTime, h.ChangeTime = time.Unix(0, 0), time.Time{}, time.Time{}
		})
		if err != nil {
			return fmt.Errorf("read the directory: %w", err)
		}
	}
	return t.Close()
}

// Tar writes the context to w. Everything belongs to root, as with docker
// build, so that an image does not depend on who built it.
func (c *BuildContext) Tar(w io.Writer) error {
	t := tar.NewWriter(w)
	for _, e := range c.entries {
		if err := c.write(t, e, func(*tar.Header) {}); err != nil {
			return fmt.Errorf("read the build context: %w", err)
		}
	}
	return t.Close()
}

func (c *BuildContext) write(t *tar.Writer, e contextEntry, change func(*tar.Header)) error {
	path := filepath.Join(c.dir, filepath.FromSlash(e.name))
	link := ""
	if e.info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if link, err = os.Readlink(path); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(e.info, link)
	if err != nil {
		return err
	}
	h.Name, h.Uid, h.Gid, h.Uname, h.Gname = e.name, 0, 0, "", ""
	h.Format = tar.FormatPAX
	if e.info.IsDir() {
		h.Name += "/"
	}
	change(h)
	if err := t.WriteHeader(h); err != nil || !e.info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(t, io.LimitReader(f, h.Size))
	if err == nil && n < h.Size {
		err = fmt.Errorf("%s became shorter while it was read", path)
	}
	return err
}
