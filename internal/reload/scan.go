package reload

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/mepc/mepc-run/internal/watch"
)

// source is a Lua file as it was read.
type source struct {
	text    string
	trouble string // why it was not read; it has no text then
	sum     [sha256.Size]byte
	info    fs.FileInfo // of the moment before it was read
}

func newSource(text string, info fs.FileInfo) *source {
	return &source{text: text, sum: sha256.Sum256([]byte(text)), info: info}
}

// unread is a file that is not taken. It changes whenever the file or the reason does.
func unread(info fs.FileInfo, format string, args ...any) *source {
	s := &source{trouble: fmt.Sprintf(format, args...), info: info}
	s.sum = sha256.Sum256(fmt.Appendf(nil, "\x00%s %d %s", s.trouble, info.Size(), info.ModTime()))
	return s
}

// The limits of a directory: what is beyond them is left out, and said. A link that
// leads to the root of the machine must not make the server read all of it.
const (
	maxFile    = 1 << 20   // bytes of a file; a recipe's own limit is lower
	maxText    = 128 << 20 // bytes of all files
	maxEntries = 10_000    // files and directories below one directory at the top
	maxDirs    = 200       // directories there
	maxTold    = 3         // of what is left out there
)

// scan is one look at a directory and all below it.
type scan struct {
	root    string
	known   map[string]*source // of the look before: what has not changed is not read again
	files   map[string]*source
	size    int
	trouble []string               // directories that were not read, or not wholly
	dirs    map[string]watch.Names // where changes are to be looked for
	seen    map[string]bool        // directories, by where they really are
	links   map[string]string      // symbolic links on the way, and where they led
}

// looks is the number of times a directory is looked at anew when links on the way were put in
// others' places meanwhile: what was read would be of two moments.
const looks = 10

// look finds the Lua files below root, through symbolic links. Directories whose
// names begin with a dot are left out. The error is that root cannot be read; what
// goes wrong below is that file's trouble, or that directory's.
func look(root string, known map[string]*source) (s *scan, err error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	for range looks {
		s = &scan{
			root: abs, known: known, files: map[string]*source{}, dirs: map[string]watch.Names{}, seen: map[string]bool{}, links: map[string]string{},
		}
		s.link(abs)
		err = s.all(abs)
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

// real resolves a path, or returns it as it is when it leads nowhere.
func real(p string) string {
	if to, err := filepath.EvalSymlinks(p); err == nil {
		return to
	}
	return p
}

// dir is a directory to be read: where it is, and its name below the root.
type dir struct{ path, rel string }

// all reads the root, and then each directory in it within limits of its own.
func (s *scan) all(root string) error {
	below, _, err := s.list(dir{root, ""})
	if err != nil {
		return err
	}
	if most := 10 * maxTold; len(s.trouble) > most {
		s.trouble = append(s.trouble[:most], "more is not read")
	}
	for _, top := range below {
		entries, dirs, before := 0, 0, len(s.trouble)
		for queue := []dir{top}; len(queue) > 0; queue = queue[1:] {
			if dirs++; dirs > maxDirs || entries > maxEntries {
				s.trouble = append(s.trouble, fmt.Sprintf("%s: more than %d directories or %d files are below it: the rest is not read", top.rel, maxDirs, maxEntries))
				break
			}
			more, n, err := s.list(queue[0])
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // it went while we looked
				s.trouble = append(s.trouble, fmt.Sprintf("%s: the directory is not read: %s", queue[0].rel, reason(err)))
			}
			entries += n
			queue = append(queue, more...)
		}
		if len(s.trouble) > before+maxTold {
			s.trouble = append(s.trouble[:before+maxTold], top.rel+": more below it is not read")
		}
	}
	return nil
}

// list reads the Lua files of one directory, and returns the directories in it and
// how many entries it has.
func (s *scan) list(d dir) (below []dir, n int, err error) {
	at := real(d.path)
	if s.seen[at] {
		return nil, 0, nil // a link led back
	}
	s.seen[at] = true
	s.dirs[at] = watch.Names{Any: true}
	entries, err := os.ReadDir(d.path)
	for _, e := range entries {
		name, p := path.Join(d.rel, e.Name()), filepath.Join(d.path, e.Name())
		isLua := strings.HasSuffix(e.Name(), ".lua")
		if strings.HasPrefix(e.Name(), ".") || !isLua && !e.IsDir() && e.Type()&fs.ModeSymlink == 0 || !utf8.ValidString(e.Name()) {
			continue
		}
		info, err := e.Info()
		if e.Type()&fs.ModeSymlink != 0 {
			s.link(p)
			info, err = os.Stat(p)
		}
		switch {
		case err != nil && isLua && !errors.Is(err, fs.ErrNotExist):
			s.trouble = append(s.trouble, name+": it is not read: "+reason(err))
		case err != nil:
		case info.IsDir() && e.Type()&fs.ModeSymlink != 0 && s.around(p):
			s.trouble = append(s.trouble, name+": the link leads to a directory that the recipes are in: it is not followed")
		case info.IsDir():
			below = append(below, dir{p, name})
		case isLua && info.Mode().IsRegular():
			s.read(p, name, info)
		}
	}
	slices.SortFunc(below, func(a, b dir) int { return strings.Compare(a.rel, b.rel) })
	return below, len(entries), err
}

// around reports whether a link leads to a directory that the root is in.
func (s *scan) around(p string) bool {
	rel, err := filepath.Rel(real(p), real(s.root))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// read takes a file in, or notes why not.
func (s *scan) read(p, name string, info fs.FileInfo) {
	got := s.known[name]
	if got == nil || got.info == nil || !os.SameFile(got.info, info) || got.info.Size() != info.Size() || !got.info.ModTime().Equal(info.ModTime()) {
		got = readSource(p, info)
	}
	if got == nil {
		return // it went while we looked
	}
	if s.size += len(got.text); s.size > maxText {
		got = unread(info, "all files together are larger than %d MiB", maxText>>20)
	}
	s.files[name] = got
}

func readSource(p string, info fs.FileInfo) *source {
	if info.Size() > maxFile {
		return unread(info, "it is larger than %d MiB", maxFile>>20)
	}
	text, err := readPlain(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return unread(info, "it is not read: %s", reason(err))
	case len(text) > maxFile:
		return unread(info, "it is larger than %d MiB", maxFile>>20)
	case !utf8.Valid(text):
		return unread(info, "it is not UTF-8 text")
	}
	return newSource(string(text), info)
}

// readPlain reads a file that gives its text at once: one that would be waited for,
// such as a pipe that was put in its place, is an error. It reads one byte too many
// of one that is too large.
func readPlain(p string) ([]byte, error) {
	fd, err := syscall.Open(p, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return nil, errors.New("it is not a regular file")
	}
	var text []byte
	for part := make([]byte, 64<<10); len(text) <= maxFile; {
		n, err := syscall.Read(fd, part)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		text = append(text, part[:n]...)
	}
	return text, nil
}

// reason returns an error without the path, which its reader knows anyway.
func reason(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return err.Error()
}
