// Package reload keeps the recipes of a directory loaded, and takes each edit the
// moment it is saved, if it is a good one. Start with Open, then Tree.Watch.
//
// A Version is a recipe and all that it requires, as the files were at one moment;
// whoever has one keeps it, whatever happens to the files. A change is compiled,
// checked, loaded with every effect denied, and tried by its specs before it takes
// the place of the last good one, together with all that changed at that moment.
package reload

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/lint"
	"github.com/mepc/mepc-run/internal/watch"
	"github.com/mepc/mepc-run/modules/on"
	"github.com/mepc/mepc-run/runtime"
)

// Options say how recipes are loaded.
type Options struct {
	Dir     string
	Host    *runtime.Host
	Linter  *lint.Linter
	Library fs.FS // what every recipe may require, after the directory's own files
	// Always are files of Library that are recipes like those of the directory, unless
	// that has a file of the name.
	Always []string
	World  any // is handed to recipes that are loaded; every call to it is denied
	// Specs runs the spec file name of files and returns which of them it looked for.
	// Its error says which test failed. nil: specs are not run.
	Specs func(ctx context.Context, files fs.FS, name string) (uses []string, err error)
	// Told is told of each recipe that changed, and of each one that cannot be taken,
	// once; and, with a nil recipe, of a directory that cannot be read or watched.
	Told  func(r *Recipe, err error)
	Clock clock.Clock
	Delay time.Duration // it has to be quiet for so long after a change; 0: 40 ms
}

// Version is a recipe that can be run.
type Version struct {
	Hash     string // of all of its files
	Loaded   time.Time
	Doc      string
	Files    Files // the recipe, and what it requires
	Params   []runtime.Param
	Triggers []*on.Trigger
}

// Recipe is a file of the directory, and the last version of it that was good.
type Recipe struct {
	Name    string   // such as bluegreen
	File    string   // such as bluegreen.lua
	Version *Version // nil: there was no good one yet
	Trouble string   // why its newest files are not taken; empty: they are

	sources map[string][sha256.Size]byte // what it was made of; of what is not there, zero
	all     bool                         // which files it requires is known only when it runs
}

// Tree is a directory of recipes. It is safe for concurrent use.
type Tree struct {
	opts     Options
	files    map[string]*source // the watching goroutine's own
	requires map[[sha256.Size]byte][]lint.Require
	linted   map[string]error // by a file and all that it requires
	now      atomic.Pointer[state]
	compiled atomic.Int64
}

// state is what is loaded at one moment. It does not change.
type state struct {
	recipes map[string]*Recipe
	over    chan struct{} // closed when another one is in force
}

// loadTime bounds the loading of one recipe, and specTime its specs.
const (
	loadTime = 5 * time.Second
	specTime = 30 * time.Second
)

// Open loads the recipes in a directory: its files *.lua, which may require what is
// below. The error says that it cannot be read.
func Open(ctx context.Context, opts Options) (*Tree, error) {
	if opts.Delay == 0 {
		opts.Delay = 40 * time.Millisecond
	}
	t := &Tree{opts: opts, requires: map[[sha256.Size]byte][]lint.Require{}, linted: map[string]error{}}
	t.now.Store(&state{over: make(chan struct{})})
	s, err := t.look()
	if err != nil {
		return nil, err
	}
	t.take(ctx, s.files)
	return t, nil
}

// Recipes returns all recipes by name.
func (t *Tree) Recipes() []*Recipe {
	s := t.now.Load()
	all := make([]*Recipe, 0, len(s.recipes))
	for _, name := range slices.Sorted(maps.Keys(s.recipes)) {
		all = append(all, s.recipes[name])
	}
	return all
}

// Recipe returns one, or nil.
func (t *Tree) Recipe(name string) *Recipe { return t.now.Load().recipes[name] }

// Changed returns a channel that is closed at the next change.
func (t *Tree) Changed() <-chan struct{} { return t.now.Load().over }

// Compiled is how many recipes were loaded so far, in vain or not.
func (t *Tree) Compiled() int64 { return t.compiled.Load() }

// How long nothing may be heard of the directory before it is looked at all the
// same; and when it cannot be watched.
const (
	idle  = 10 * time.Second
	blind = 2 * time.Second
)

// Watch takes changes until ctx ends.
func (t *Tree) Watch(ctx context.Context) error {
	set, err := watch.NewSet()
	if err != nil {
		return err
	}
	defer set.Close()
	var told string // what went wrong last
	var dirs map[string]watch.Names
	for ctx.Err() == nil {
		wait := idle
		s, err := t.look()
		if err == nil {
			if err = set.Watch(s.dirs); set.Dirs() != len(dirs) {
				wait = blind // a directory that goes and comes back may be lost
			}
			dirs = s.dirs
			t.take(ctx, s.files)
		}
		text := ""
		if err != nil {
			wait, text = blind, err.Error()
		}
		if text != told && text != "" {
			t.opts.Told(nil, err)
		}
		told = text
		if err == nil && !set.Quiet() {
			wait = t.opts.Delay // it may have happened before it was watched
		}
		if _, err := set.Next(ctx, t.opts.Delay, wait); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// look finds the files as they are now.
func (t *Tree) look() (*scan, error) {
	s, err := look(t.opts.Dir, t.files)
	if err != nil {
		return s, err
	}
	for _, name := range t.opts.Always {
		if s.files[name] != nil {
			continue
		}
		text, err := fs.ReadFile(t.opts.Library, name)
		if err != nil {
			return s, err
		}
		s.files[name] = &source{text: string(text), sum: sha256.Sum256(text)}
	}
	return s, nil
}

// take loads what changed, and puts all of it in force at once.
func (t *Tree) take(ctx context.Context, files map[string]*source) {
	before := t.now.Load()
	if maps.EqualFunc(files, t.files, func(a, b *source) bool { return a.sum == b.sum }) && t.files != nil {
		t.files = files
		return
	}
	t.files = files
	text := Files{}
	for name, f := range files {
		text[name] = f.text
	}
	next := &state{recipes: map[string]*Recipe{}, over: make(chan struct{})}
	var changed []*Recipe
	required := t.required()
	t.forget()
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if strings.Contains(file, "/") {
			continue
		}
		name := strings.TrimSuffix(file, ".lua")
		old := before.recipes[name]
		if old != nil && old.current(files) {
			next.recipes[name] = old
			continue
		}
		r := t.load(ctx, name, text, old)
		if ctx.Err() != nil {
			return // it was cut off, and says nothing
		}
		if r.Version != nil && !r.Version.declares() && required[file] {
			continue // a part of recipes
		}
		next.recipes[name] = r
		changed = append(changed, r)
	}
	t.now.Store(next)
	close(before.over)
	for _, r := range changed {
		if old := before.recipes[r.Name]; old == nil || old.Trouble != r.Trouble || old.Version != r.Version {
			t.opts.Told(r, nil)
		}
	}
}

// maxFacts is how much is kept of what was found out about files that may be gone.
const maxFacts = 100_000

func (t *Tree) forget() {
	if len(t.requires) > maxFacts {
		clear(t.requires)
	}
	if len(t.linted) > maxFacts {
		clear(t.linted)
	}
}

// declares reports whether the version is one that says what it takes, or when.
func (v *Version) declares() bool { return v.Params != nil || len(v.Triggers) > 0 }

// current reports whether the recipe is made of those files.
func (r *Recipe) current(files map[string]*source) bool {
	for name, sum := range r.sources {
		var now [sha256.Size]byte
		if f := files[name]; f != nil {
			now = f.sum
		}
		if now != sum {
			return false
		}
	}
	return !r.all
}

// required returns the files that others require.
func (t *Tree) required() map[string]bool {
	all := map[string]bool{}
	for name := range t.files {
		for _, r := range t.requiresOf(name) {
			all[fileOf(r.Name)] = true
		}
	}
	return all
}

// fileOf is where require looks.
func fileOf(module string) string { return strings.ReplaceAll(module, ".", "/") + ".lua" }

// requiresOf reads a file's own requires, once for each text.
func (t *Tree) requiresOf(name string) []lint.Require {
	f := t.files[name]
	if f == nil {
		return nil
	}
	all, ok := t.requires[f.sum]
	if !ok {
		_, all = t.opts.Linter.Read(lint.Source{Name: name, Text: []byte(f.text)})
		t.requires[f.sum] = all
	}
	return all
}

// load makes a recipe of its files. When they are not good, the version of old stays.
func (t *Tree) load(ctx context.Context, name string, text Files, old *Recipe) *Recipe {
	t.compiled.Add(1)
	r := &Recipe{Name: name, File: name + ".lua", sources: map[string][sha256.Size]byte{}}
	if old != nil {
		r.Version = old.Version
	}
	files := Files{}
	r.collect(t, r.File, files)
	if r.all {
		files = text
	}
	v, err := t.try(ctx, r, files, text)
	if err != nil {
		r.Trouble = err.Error()
		return r
	}
	if old != nil && old.Version != nil && old.Version.Hash == v.Hash {
		v = old.Version // as it was before it was broken
	}
	r.Version = v
	return r
}

// collect adds a file and what it requires to files, and to what the recipe is made
// of, whether it is there or not.
func (r *Recipe) collect(t *Tree, name string, files Files) {
	if _, done := r.sources[name]; done {
		return
	}
	r.source(t, name)
	f := t.files[name]
	if f == nil {
		return
	}
	files[name] = f.text
	for _, req := range t.requiresOf(name) {
		if req.Name == "" {
			r.all = true
			continue
		}
		r.collect(t, fileOf(req.Name), files)
	}
}

func (r *Recipe) source(t *Tree, name string) {
	r.sources[name] = [sha256.Size]byte{}
	if f := t.files[name]; f != nil {
		r.sources[name] = f.sum
	}
}

// try makes a version of files, or says what is wrong with them.
func (t *Tree) try(ctx context.Context, r *Recipe, files, text Files) (*Version, error) {
	if strings.TrimSpace(files[r.File]) == "" {
		return nil, fmt.Errorf("%s is empty", r.File) // somebody may be about to write it
	}
	if err := t.lint(files); err != nil {
		return nil, err
	}
	recipe, err := t.opts.Host.LoadFS(files, r.File)
	if err != nil {
		return nil, err
	}
	loading, cancel := context.WithTimeoutCause(ctx, loadTime, failure.New(failure.Timeout, "loading it takes longer than %s", loadTime))
	defer cancel()
	declared, err := t.opts.Host.Inspect(loading, recipe, t.opts.World)
	if err != nil {
		return nil, err
	}
	triggers, err := on.Triggers(declared)
	if err != nil {
		return nil, err
	}
	v := &Version{
		Hash: hashOf(files), Loaded: t.opts.Clock.Now(), Doc: recipe.Doc, Files: files, Params: declared.Params, Triggers: triggers,
	}
	return v, t.runSpecs(ctx, r, text)
}

// lint returns the first error that is found in files. Warnings are for the author.
func (t *Tree) lint(files Files) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		own := Files{}
		(&Recipe{sources: map[string][sha256.Size]byte{}}).collect(t, name, own)
		key := name + " " + hashOf(own)
		err, done := t.linted[key]
		if !done {
			err = t.lintFile(name, files)
			t.linted[key] = err
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) lintFile(name string, files Files) error {
	for _, f := range t.opts.Linter.File(lint.Source{Name: name, Text: []byte(files[name]), Trees: []fs.FS{files, t.opts.Library}}) {
		if strings.HasPrefix(f.Code, "E") {
			return fmt.Errorf("%s:%d:%d: %s %s", name, f.Line, f.Col, f.Code, f.Message)
		}
	}
	return nil
}

// runSpecs runs spec/NAME_spec.lua, if there is one.
func (t *Tree) runSpecs(ctx context.Context, r *Recipe, text Files) error {
	name := path.Join("spec", r.Name+"_spec.lua")
	r.source(t, name)
	if _, there := text[name]; !there || t.opts.Specs == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, specTime)
	defer cancel()
	uses, err := t.opts.Specs(ctx, text, name)
	for _, used := range uses {
		r.source(t, used)
	}
	return err
}

// hashOf is a digest of files and their names.
func hashOf(files Files) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%d:%s%d:%s", len(name), name, len(files[name]), files[name])
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}
