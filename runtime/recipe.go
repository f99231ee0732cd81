package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox"
	"github.com/mepc/mepc-run/internal/say"
)

// Recipe is a compiled recipe and the tree that it may require files from. A file
// is read when it is first required; all runs of one Recipe have that version.
type Recipe struct {
	Name string // as shown in positions: the path relative to its tree
	Hash string // SHA-256 of its source, in hexadecimal
	Doc  string // the comment at its top

	program *sandbox.Program
	tree    fs.FS // nil: it can require only the library

	mu    sync.Mutex
	files map[string]*sandbox.Program // what it has required, by file
}

// Tree returns the files beside the recipe, its own directory and all below; nil
// when there are none. Nothing outside can be reached by it.
func (r *Recipe) Tree() fs.FS { return r.tree }

// Declares reports whether the recipe's text calls params.
func (r *Recipe) Declares() bool {
	return slices.ContainsFunc(r.program.Globals, func(g sandbox.Ref) bool { return g.Name == "params" })
}

// LoadFile compiles the recipe in the file name. Files it requires come from
// the file's directory, then from the library. A file outside of that directory
// cannot be reached, not even by a symbolic link.
func (h *Host) LoadFile(name string) (*Recipe, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, failure.New(failure.NotFound, "no recipe %s", name)
	case err != nil:
		return nil, failure.Wrap(failure.Invalid, err, "open recipe")
	case info.IsDir():
		return nil, failure.New(failure.Invalid, "%s is a directory", name).WithHint("name a .lua file in it")
	case !info.Mode().IsRegular():
		return nil, failure.New(failure.Invalid, "%s is not a regular file", name)
	}
	root, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err, "open recipe")
	}
	// The recipe itself may be a link to elsewhere; what it requires may not.
	src, err := readCapped(os.DirFS(filepath.Dir(name)), filepath.Base(name), h.maxSource())
	if err != nil {
		return nil, err
	}
	return h.load(filepath.Base(name), src, root.FS())
}

// LoadFS compiles the recipe name of fsys. Files it requires come from its
// directory in fsys, then from the library.
func (h *Host) LoadFS(fsys fs.FS, name string) (*Recipe, error) {
	src, err := readCapped(fsys, name, h.maxSource())
	if err != nil {
		return nil, err
	}
	tree, err := fs.Sub(fsys, path.Dir(name))
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err, "open recipe")
	}
	return h.load(path.Base(name), src, tree)
}

// LoadString compiles src, which is shown as name in positions. It can require
// only what the library has.
func (h *Host) LoadString(name, src string) (*Recipe, error) {
	return h.load(name, []byte(src), nil)
}

func (h *Host) load(name string, src []byte, tree fs.FS) (*Recipe, error) {
	program, err := h.compile(name, src)
	if err != nil {
		return nil, err
	}
	return &Recipe{Name: name, Hash: program.Hash, Doc: topComment(src), program: program, tree: tree}, nil
}

// compile turns a syntax error into one with an excerpt.
func (h *Host) compile(name string, src []byte) (*sandbox.Program, error) {
	program, err := h.cache.Compile(name, src, h.opts.Limits)
	if err == nil {
		return program, nil
	}
	var syntax *sandbox.SyntaxError
	if !errors.As(err, &syntax) {
		return nil, err
	}
	e := failure.New(failure.Syntax, "%s", syntax.What()).WithHint("%s", syntax.Hint)
	e.Where = fmt.Sprintf("%s:%d", name, syntax.Line)
	e.Excerpt = excerptOf(src, syntax.Line)
	e.Cause = err
	return nil, e
}

// readCapped reads a file of at most limit bytes.
func readCapped(fsys fs.FS, name string, limit int) ([]byte, error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failure.New(failure.NotFound, "no recipe %s", name)
	}
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err, "open recipe")
	}
	defer f.Close()
	size := 512
	if info, err := f.Stat(); err == nil {
		size = int(min(info.Size(), int64(limit)))
	}
	var b bytes.Buffer
	b.Grow(size + bytes.MinRead)
	_, err = b.ReadFrom(io.LimitReader(f, int64(limit)+1))
	src := b.Bytes()
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err, "read recipe %s", name)
	}
	if len(src) > limit {
		return nil, failure.New(failure.Invalid, "%s is larger than the %d KiB that a recipe may have", name, limit>>10).
			WithHint("is it a recipe? Split a large one with require; --max-source raises the cap")
	}
	return src, nil
}

// topComment returns the comment lines that src begins with, without dashes.
func topComment(src []byte) string {
	var doc []string
	for line := range strings.Lines(string(src)) {
		line = strings.TrimRight(line, "\r\n")
		if len(doc) == 0 && strings.HasPrefix(line, "#!") {
			continue
		}
		text, ok := strings.CutPrefix(line, "--")
		if !ok || strings.HasPrefix(text, "[[") {
			break
		}
		doc = append(doc, strings.TrimPrefix(text, " "))
	}
	return strings.TrimSpace(strings.Join(doc, "\n"))
}

// maxExcerpt is how many characters of a line an excerpt shows.
const maxExcerpt = 160

// excerptOf returns the lines around line, numbered, with a mark at it.
func excerptOf(src []byte, line int) string {
	lines := strings.Split(strings.TrimSuffix(string(src), "\n"), "\n")
	if line < 1 {
		return ""
	}
	line = min(line, len(lines)+1) // an end of file that comes too soon is after the last
	var b strings.Builder
	for n := max(1, line-2); n <= min(len(lines), line+1); n++ {
		mark := " "
		if n == line {
			mark = ">"
		}
		fmt.Fprintf(&b, "%s %4d | %s\n", mark, n, say.Clip(strings.TrimRight(lines[n-1], "\r"), maxExcerpt))
	}
	return strings.TrimSuffix(b.String(), "\n")
}
