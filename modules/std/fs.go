package std

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func (s *Std) fs() runtime.Module {
	return runtime.Module{
		Name: "fs", Self: s,
		Doc: "Reads files beside the recipe: its own directory and all below. Nothing else can be reached, neither by .. nor by a link that leads out, and nothing can be written.",
		Funcs: []runtime.Func{
			{
				Name: "read", Doc: "Reads a file.", Returns: "its bytes",
				Raises:  []runtime.Kind{failure.Invalid, failure.Denied, failure.NotFound, failure.Limit},
				Example: `local config = template(fs.read("app.conf.tmpl"), {port = 8080})`,
				Call:    runtime.Inline((*Std).readFile),
			},
			{
				Name: "glob", Doc: "Lists files by a pattern: * stands for any text but /, ? for one character, [a-z] for one of several, and **/ for any directories.",
				Returns: "their paths, sorted", Raises: []runtime.Kind{failure.Invalid, failure.Denied, failure.NotFound, failure.Limit},
				Example: `for _, file in ipairs(fs.glob("migrations/**/*.sql")) do log(file) end`,
				Call:    runtime.Inline((*Std).glob),
			},
			{
				Name:    "hash",
				Doc:     "Computes the SHA-256 digest of a file or, for a directory, of the names and digests of all files in it: the same while nothing in it changes.",
				Returns: "64 hexadecimal digits", Raises: []runtime.Kind{failure.Invalid, failure.Denied, failure.NotFound, failure.Limit},
				Example: `local version = fs.hash("migrations"):sub(1, 12)`,
				Call:    runtime.Inline((*Std).hash),
			},
		},
	}
}

// maxFiles bounds how many files and directories one call looks at.
const maxFiles = 100_000

type pathArgs struct {
	Path string `lua:"path,pos,required" doc:"the file, relative to the recipe's directory"`
}

// Validate refuses what leads out.
func (a *pathArgs) Validate() error { return checkLocal("path", a.Path) }

func checkLocal(option, p string) error {
	switch clean := path.Clean(p); {
	case p == "":
		return fmt.Errorf("%s: it is empty", option)
	case clean == ".." || strings.HasPrefix(clean, "../") || path.IsAbs(p):
		return failure.New(failure.Denied, "%s: %s leads out of the recipe's directory", option, p)
	case !fs.ValidPath(clean):
		return fmt.Errorf("%s: %q is not a path", option, p)
	}
	return nil
}

// withTree calls f with the files beside the recipe, while other branches go on.
func withTree(c *runtime.Call, f func(ctx context.Context, tree fs.FS) error) error {
	tree := c.Run().Recipe().Tree()
	if tree == nil {
		return failure.New(failure.NotFound, "there are no files beside this recipe")
	}
	var err error
	var looked *counted
	c.Block(func(ctx context.Context) {
		looked = &counted{FS: tree, ctx: ctx}
		err = f(ctx, looked)
	})
	c.Charge(looked.work)
	return fsFailed(err)
}

// counted counts the work of looking at files, and ends it with its context.
type counted struct {
	fs.FS
	ctx  context.Context
	work int // in steps
}

const (
	perLook  = 200 // steps, for what the system is asked
	perBytes = 64  // that many bytes are a step
)

func (c *counted) count(steps int) error {
	c.work += steps
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	return nil
}

// Open implements fs.FS.
func (c *counted) Open(name string) (fs.File, error) {
	if err := c.count(perLook); err != nil {
		return nil, err
	}
	f, err := c.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return &countedFile{f, c}, nil
}

// Stat implements fs.StatFS.
func (c *counted) Stat(name string) (fs.FileInfo, error) {
	if err := c.count(perLook); err != nil {
		return nil, err
	}
	return fs.Stat(c.FS, name)
}

// ReadDir implements fs.ReadDirFS.
func (c *counted) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(c.FS, name)
	if ended := c.count(perLook * (1 + len(entries))); ended != nil {
		return nil, ended
	}
	return entries, err
}

type countedFile struct {
	fs.File
	c *counted
}

// Read implements io.Reader.
func (f *countedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	if ended := f.c.count(1 + n/perBytes); ended != nil {
		return 0, ended
	}
	return n, err
}

func fsFailed(err error) error {
	var at *fs.PathError
	switch {
	case err == nil || failure.As(err) != nil || !errors.As(err, &at):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return failure.New(failure.NotFound, "no file %s beside the recipe", at.Path)
	}
	f := failure.New(failure.Invalid, "%s: %s", at.Path, at.Err)
	if strings.Contains(at.Err.Error(), "escapes") {
		f = failure.New(failure.Denied, "%s leads out of the recipe's directory", at.Path)
	}
	return f
}

type readArgs struct {
	Path string       `lua:"path,pos,required" doc:"the file, relative to the recipe's directory"`
	Max  runtime.Size `lua:"max" default:"1MiB" max:"16777216" doc:"how large it may be"`
}

// Validate refuses what leads out.
func (a *readArgs) Validate() error { return checkLocal("path", a.Path) }

func (s *Std) readFile(c *runtime.Call, a *readArgs) (string, error) {
	var text []byte
	err := withTree(c, func(_ context.Context, tree fs.FS) error {
		f, err := openFile(tree, path.Clean(a.Path))
		if err != nil {
			return err
		}
		defer f.Close()
		if text, err = io.ReadAll(io.LimitReader(f, int64(a.Max)+1)); err != nil {
			return err
		}
		if int64(len(text)) > int64(a.Max) {
			return failure.New(failure.Limit, "%s is larger than %d bytes", a.Path, a.Max).WithHint("max allows more")
		}
		return nil
	})
	return string(text), err
}

// openFile opens a regular file: a pipe or a device would hang the run.
func openFile(tree fs.FS, name string) (fs.File, error) {
	info, err := fs.Stat(tree, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, failure.New(failure.Invalid, "%s is not a regular file", name)
	}
	return tree.Open(name)
}

type globArgs struct {
	Pattern string `lua:"pattern,pos,required" doc:"the pattern, relative to the recipe's directory"`
}

// Validate refuses what leads out, and what is no pattern.
func (a *globArgs) Validate() error {
	if len(a.Pattern) > maxPattern {
		return fmt.Errorf("pattern: %d bytes are more than the %d that it may have", len(a.Pattern), maxPattern)
	}
	if _, err := path.Match(a.Pattern, ""); err != nil {
		return fmt.Errorf("pattern: %q is not a pattern: a [ without ]", a.Pattern)
	}
	return checkLocal("pattern", a.Pattern)
}

func (s *Std) glob(c *runtime.Call, a *globArgs) ([]string, error) {
	found := []string{}
	pattern := strings.Split(path.Clean(a.Pattern), "/")
	err := withTree(c, func(ctx context.Context, tree fs.FS) error {
		return walk(ctx, tree, ".", func(name string, d fs.DirEntry) error {
			if !d.IsDir() && matches(pattern, strings.Split(name, "/")) {
				found = append(found, name)
			}
			return nil
		})
	})
	slices.Sort(found)
	return found, err
}

// maxPattern is how long a pattern may be: each path is held against it.
const maxPattern = 1 << 10

// matches reports whether the parts of a path are as the pattern's. Of several **
// only the last one is tried at several places: what an earlier one could take, it
// can take, too.
func matches(pattern, parts []string) bool {
	var rest, from []string // after the last **, and where it began to take
	starred := false
	for len(parts) > 0 || len(pattern) > 0 {
		if len(pattern) > 0 && pattern[0] == "**" {
			pattern = pattern[1:]
			rest, from, starred = pattern, parts, true
			continue
		}
		if len(pattern) > 0 && len(parts) > 0 {
			if ok, err := path.Match(pattern[0], parts[0]); err == nil && ok {
				pattern, parts = pattern[1:], parts[1:]
				continue
			}
		}
		if !starred || len(from) == 0 {
			return false
		}
		from = from[1:]
		pattern, parts = rest, from
	}
	return true
}

// walk visits everything below dir; links are not followed.
func walk(ctx context.Context, tree fs.FS, dir string, visit func(string, fs.DirEntry) error) error {
	seen := 0
	return fs.WalkDir(tree, dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if seen++; seen > maxFiles {
			return failure.New(failure.Limit, "more than %d files", maxFiles)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return visit(name, d)
	})
}

func (s *Std) hash(c *runtime.Call, a *pathArgs) (string, error) {
	name, digest := path.Clean(a.Path), ""
	err := withTree(c, func(ctx context.Context, tree fs.FS) error {
		info, err := fs.Stat(tree, name)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			digest, err = fileDigest(tree, name)
			return err
		}
		all := sha256.New()
		err = walk(ctx, tree, name, func(file string, d fs.DirEntry) error {
			if !d.Type().IsRegular() {
				return nil
			}
			one, err := fileDigest(tree, file)
			fmt.Fprintf(all, "%s  %s\n", one, strings.TrimPrefix(file, name+"/"))
			return err
		})
		digest = fmt.Sprintf("%x", all.Sum(nil))
		return err
	})
	return digest, err
}

func fileDigest(tree fs.FS, name string) (string, error) {
	f, err := openFile(tree, name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return fmt.Sprintf("%x", h.Sum(nil)), err
}
