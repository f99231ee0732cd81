package reload

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/mepc/mepc-run/internal/watch"
)

// source is a Lua file as it was read.
type source struct {
	text string
	sum  [sha256.Size]byte
	info fs.FileInfo // of the moment before it was read
}

// maxFile is how large a file may be, in bytes; a recipe's own limit is lower.
const maxFile = 1 << 20

// scan is one look at a directory and all below it.
type scan struct {
	root  string
	known map[string]*source // of the look before: what has not changed is not read again
	files map[string]*source
	dirs  map[string]watch.Names // where changes are to be looked for
	seen  map[string]bool        // directories, by where they really are
	links map[string]string      // symbolic links on the way, and where they led
}

// looks is how often a directory is looked at anew when links on the way were put in
// others' places meanwhile: what was read would be of two moments.
const looks = 10

// look finds the Lua files below root, through symbolic links. Directories whose
// names begin with a dot are left out.
func look(root string, known map[string]*source) (s *scan, err error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	for range looks {
		s = &scan{
			root: root, known: known, files: map[string]*source{}, dirs: map[string]watch.Names{}, seen: map[string]bool{}, links: map[string]string{},
		}
		s.link(abs)
		err = s.walk(abs, "")
		if s.steady() {
			break
		}
	}
	return s, err
}

// steady reports whether the links still lead where they led.
func (s *scan) steady() bool {
	for p, to := range s.links {
		if real(p) != to {
			return false
		}
	}
	return true
}

// link watches where a path leads: a link can be put in another's place.
func (s *scan) link(p string) {
	s.links[p] = real(p)
	for _, at := range []string{p, s.links[p]} {
		dir := real(filepath.Dir(at))
		if s.dirs[dir].Any {
			continue
		}
		names := s.dirs[dir]
		if names.Each == nil {
			names.Each = map[string]bool{}
		}
		names.Each[filepath.Base(at)] = true
		s.dirs[dir] = names
	}
}

// real is where a path leads, or the path itself when it leads nowhere.
func real(p string) string {
	if to, err := filepath.EvalSymlinks(p); err == nil {
		return to
	}
	return p
}

func (s *scan) walk(dir, rel string) error {
	at := real(dir)
	if s.seen[at] {
		return nil // a link led back
	}
	s.seen[at] = true
	s.dirs[at] = watch.Names{Any: true}
	entries, err := os.ReadDir(dir)
	if err != nil {
		if rel != "" && errors.Is(err, fs.ErrNotExist) {
			return nil // it went while we looked
		}
		return err
	}
	for _, e := range entries {
		name, p := path.Join(rel, e.Name()), filepath.Join(dir, e.Name())
		isLua := strings.HasSuffix(e.Name(), ".lua")
		if strings.HasPrefix(e.Name(), ".") || !isLua && !e.IsDir() && e.Type()&fs.ModeSymlink == 0 {
			continue
		}
		info, err := e.Info()
		if e.Type()&fs.ModeSymlink != 0 {
			s.link(p)
			info, err = os.Stat(p)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case info.IsDir():
			err = s.walk(p, name)
		case isLua && info.Mode().IsRegular():
			err = s.read(p, name, info)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (s *scan) read(p, name string, info fs.FileInfo) error {
	if was := s.known[name]; was != nil && os.SameFile(was.info, info) && was.info.Size() == info.Size() && was.info.ModTime().Equal(info.ModTime()) {
		s.files[name] = was
		return nil
	}
	if info.Size() > maxFile {
		return fmt.Errorf("%s is larger than 1 MiB", name)
	}
	text, err := os.ReadFile(p)
	if err != nil {
		return err
	}
	s.files[name] = &source{string(text), sha256.Sum256(text), info}
	return nil
}
