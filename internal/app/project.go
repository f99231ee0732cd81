package app

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
)

// project is the directory that specs and their recipes are in.
type project struct {
	root *os.Root
	tree fs.FS
	dir  string
}

// projectDir is the project: the current directory.
const projectDir = "."

func openProject() (*project, error) {
	root, err := os.OpenRoot(projectDir)
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, failure.Innermost(err), "open the current directory")
	}
	return &project{root, root.FS(), projectDir}, nil
}

func (p *project) close() { _ = p.root.Close() } // it was only read

// write writes a file of the project, and its directory.
func (p *project) write(name string, data []byte) error {
	if err := p.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return failure.Wrap(failure.Output, failure.Innermost(err), "--update %s", name)
	}
	if err := p.root.WriteFile(name, data, 0o644); err != nil {
		return failure.Wrap(failure.Output, failure.Innermost(err), "--update %s", name)
	}
	return nil
}

// specSuffix ends the name of every spec file.
const specSuffix = "_spec.lua"

// specs returns the spec files that args name, sorted.
func (p *project) specs(args []string) ([]string, error) {
	if len(args) == 0 {
		args = []string{"spec"}
	}
	var files []string
	for _, arg := range args {
		name, err := p.inside(arg)
		if err != nil {
			return nil, err
		}
		info, err := fs.Stat(p.tree, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, failure.New(failure.NotFound, "no spec %s", arg).
				WithHint("specs are files in a directory named spec whose names end in %s; see mepc-run test --help", specSuffix)
		case err != nil:
			return nil, failure.Wrap(failure.Invalid, failure.Innermost(err), "%s", arg)
		case !info.IsDir():
			files = append(files, name)
			continue
		}
		before := len(files)
		err = fs.WalkDir(p.tree, name, func(file string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(file, specSuffix) {
				files = append(files, file)
			}
			return err
		})
		if err != nil {
			return nil, failure.Wrap(failure.Invalid, failure.Innermost(err), "%s", arg)
		}
		if len(files) == before {
			return nil, failure.New(failure.NotFound, "no specs in %s", arg).WithHint("a spec's name must end in %s", specSuffix)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// inside returns the slash path of a file in the project.
func (p *project) inside(name string) (string, error) {
	rel := name
	if filepath.IsAbs(name) {
		here, err := filepath.Abs(".")
		if err == nil {
			rel, err = filepath.Rel(here, name)
		}
		if err != nil {
			return "", failure.Wrap(failure.Invalid, err, "%s", name)
		}
	}
	if rel = path.Clean(filepath.ToSlash(rel)); !fs.ValidPath(rel) {
		return "", failure.New(failure.Denied, "%s is outside of the project: a spec reaches only files below the current directory", name)
	}
	return rel, nil
}
