package runtime

import (
	"errors"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox"
)

// loader is a run's require: it finds a file in the recipe's tree, then in the
// library, runs it once, and keeps what it returned, or the error it raised.
type loader struct {
	run     *Run
	files   *Files
	loading []string // the chain of files that are being loaded
}

// Files are what require has loaded: each file runs once for them.
type Files struct{ loaded map[string]*required }

// Clone returns Files of their own that begin with those of f.
func (f *Files) Clone() *Files { return &Files{maps.Clone(f.loaded)} }

// Files returns what the run has loaded.
func (r *Run) Files() *Files { return r.loader.files }

// SetFiles has require load into f from now on, and returns where it did before.
func (r *Run) SetFiles(f *Files) *Files {
	was := r.loader.files
	r.loader.files = f
	return was
}

// vendored is where files are looked for that are nowhere else, and maxVendored how large
// they may be.
const (
	vendored    = sandbox.VendorDir + "/"
	maxVendored = sandbox.VendoredBytes
)

type required struct {
	value lua.LValue
	err   error
}

var requireName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]+([./][A-Za-z0-9_-]+)*$`) })

// require returns what the file of name returns: "lib.frontend" is the file
// lib/frontend.lua.
func (l *loader) require(c *Call, name string) (lua.LValue, error) {
	if len(name) > maxName || !requireName().MatchString(name) {
		return nil, failure.New(failure.Invalid, "%q is not a name of a file: write require %q for lib/name.lua", brief(name), "lib.name")
	}
	file := strings.ReplaceAll(name, ".", "/") + ".lua"
	if i := slices.Index(l.loading, file); i >= 0 {
		return nil, failure.New(failure.Script, "files require each other in a circle: %s",
			strings.Join(append(l.loading[i:], file), " -> "))
	}
	files := l.files
	if done := files.loaded[file]; done != nil {
		return done.value, done.err
	}
	program, err := l.find(file)
	if failure.KindOf(err) == failure.NotFound {
		if library := l.library(name); library != nil {
			return library, nil // as every Lua has its own loaded
		}
	}
	short := strings.TrimSuffix(file, ".lua")
	for _, other := range []string{short + "/init.lua", vendored + file, vendored + short + "/init.lua"} {
		if failure.KindOf(err) == failure.NotFound {
			program, err = l.find(other)
		}
	}
	if failure.KindOf(err) == failure.NotFound {
		return nil, failure.New(failure.NotFound, "no file %s beside the recipe or in the library", file)
	}
	if err != nil {
		return nil, err
	}
	l.loading = append(l.loading, file)
	values, err := c.entry.Call(l.run.vm.Load(program), lua.LString(name))
	l.loading = l.loading[:len(l.loading)-1]
	done := &required{value: lua.LTrue}
	if err != nil {
		done.err = l.run.toError(err)
	} else if len(values) > 0 && values[0] != lua.LNil {
		done.value = values[0]
	}
	files.loaded[file] = done
	return done.value, done.err
}

// library returns the module, or the library of Lua, that require means by a name; nil
// when there is none.
func (l *loader) library(name string) *lua.LTable {
	for _, m := range l.run.host.modules {
		if slices.Contains(m.Requires, name) {
			name = m.Name
		}
	}
	return l.run.vm.Library(name)
}

func (l *loader) find(file string) (*sandbox.Program, error) {
	h, recipe := l.run.host, l.run.recipe
	recipe.mu.Lock()
	defer recipe.mu.Unlock()
	if program := recipe.files[file]; program != nil {
		l.run.sources[file] = program.Source
		l.run.loaded(file, program.Source)
		return program, nil
	}
	for _, tree := range []fs.FS{recipe.tree, h.opts.Library} {
		if tree == nil {
			continue
		}
		limit := h.maxSource()
		if strings.HasPrefix(file, vendored) {
			limit = max(limit, maxVendored)
		}
		src, err := readCapped(tree, file, limit)
		if errors.Is(err, fs.ErrNotExist) || failure.KindOf(err) == failure.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		program, err := h.compile(file, src)
		if err == nil {
			l.run.sources[file] = src
			l.run.loaded(file, src)
			if recipe.files == nil {
				recipe.files = map[string]*sandbox.Program{}
			}
			recipe.files[file] = program
		}
		return program, err
	}
	return nil, failure.New(failure.NotFound, "no file %s", file)
}

// Require runs the file of name once and returns what it returned.
func (c *Call) Require(name string) (any, error) { return c.run.loader.require(c, name) }

// Vendored reports whether a file is a library that was written for other programs, by
// where it is or what it says: see docs/libraries.md.
func Vendored(name string, src []byte) bool { return sandbox.Vendored(name, src) }
