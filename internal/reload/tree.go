// Package reload keeps the recipes of a directory loaded, and takes each edit the
// moment it is saved, if it is a good one. Start with Open, then Tree.Watch.
//
// A Version is a recipe and all that it requires, as the files were at one moment;
// its holder keeps it, whatever happens to the files. A change is compiled,
// checked, loaded with every effect denied, and tried by its specs before it takes
// the place of the last good one, together with all that changed at that moment.
//
// A Tree runs no Lua: it asks a Loader, which a server has in another process. What
// ends that process is trouble of the recipe that did it, and of no other.
package reload

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/say"
	"github.com/mepc/mepc-run/internal/watch"
	"github.com/mepc/mepc-run/modules/on"
	"github.com/mepc/mepc-run/runtime"
)

// Options say how recipes are loaded.
type Options struct {
	Dir     string
	Library fs.FS // where Always are
	// Always are files of Library that are recipes like those of the directory, unless
	// that has a file of the name.
	Always []string
	// Load has a job done, and tells of each item's answer, in order. Its error says
	// why the next item has none: it ended the process. ErrNoLoader: there was none.
	Load func(ctx context.Context, job *Job, told func(*Facts)) error
	// Told is called for each recipe that changed, and for each one that was rejected,
	// once; and, with a nil recipe, of a directory that cannot be read or watched.
	Told  func(r *Recipe, err error)
	Clock clock.Clock
	Delay time.Duration // it has to be quiet for so long after a change; 0: 40 ms
}

// ErrNoLoader is the error of Options.Load when no process could be asked. It is tried again.
var ErrNoLoader = errors.New("no process to load recipes could be started")

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
	files    map[string]*source             // the watching goroutine's own
	requires map[[sha256.Size]byte][]string // by a file's text: the files that it requires
	now      atomic.Pointer[state]
	loaded   chan struct{}
	compiled atomic.Int64
}

// state holds what is loaded at one moment. It is immutable.
type state struct {
	recipes map[string]*Recipe
	trouble []string      // of the directory
	over    chan struct{} // closed when another one is in force
}

// Open opens a directory of recipes: its files *.lua, which may require what is
// below. Nothing is loaded yet. The error says that it cannot be read.
func Open(opts Options) (*Tree, error) {
	if opts.Delay == 0 {
		opts.Delay = 40 * time.Millisecond
	}
	t := &Tree{opts: opts, requires: map[[sha256.Size]byte][]string{}, loaded: make(chan struct{})}
	t.now.Store(&state{over: make(chan struct{})})
	_, err := t.look()
	return t, err
}

// Load loads the recipes as they are now. A Watch does that, too.
func (t *Tree) Load(ctx context.Context) {
	if s, err := t.look(); err != nil {
		t.worry([]string{"the directory of recipes cannot be read: " + err.Error()})
	} else {
		trouble, _ := t.load(ctx, s)
		t.worry(trouble)
	}
}

// load loads what a look has found, and returns what is wrong with the directory, and
// whether all could be tried.
func (t *Tree) load(ctx context.Context, s *scan) (trouble []string, tried bool) {
	if err := t.take(ctx, s.files); err != nil && ctx.Err() == nil {
		return append(s.trouble, err.Error()), false
	}
	return s.trouble, true
}

// Loaded returns a channel that is closed when all recipes were loaded once, successfully
// or not.
func (t *Tree) Loaded() <-chan struct{} { return t.loaded }

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

// Trouble returns what of the directory cannot be read or watched.
func (t *Tree) Trouble() []string { return t.now.Load().trouble }

// Changed returns a channel that is closed at the next change.
func (t *Tree) Changed() <-chan struct{} { return t.now.Load().over }

// Compiled returns the number of recipes loaded so far, failures included.
func (t *Tree) Compiled() int64 { return t.compiled.Load() }

// How long nothing may be heard of the directory before it is looked at all the
// same; and when it cannot be watched.
const (
	idle  = 10 * time.Second
	blind = 2 * time.Second
)

// Watch takes changes until ctx ends. Nothing else ends it: what cannot be watched
// is looked at.
func (t *Tree) Watch(ctx context.Context) {
	for ctx.Err() == nil {
		set, err := watch.NewSet()
		if err != nil {
			t.watch(ctx, nil, err)
			continue
		}
		t.watch(ctx, set, nil)
		_ = set.Close() // it only read
	}
}

// watch takes changes until ctx ends, or set fails. A nil set, for the reason given,
// is waited for once.
func (t *Tree) watch(ctx context.Context, set *watch.Set, lost error) {
	dirs := 0
	for ctx.Err() == nil {
		s, err := t.look()
		wait, trouble, tried := idle, []string{}, false
		if err != nil {
			trouble = append(trouble, "the directory of recipes cannot be read: "+err.Error())
		} else {
			trouble, tried = t.load(ctx, s)
			if set != nil {
				lost = set.Watch(s.dirs)
			}
		}
		if lost != nil {
			trouble = append(trouble, "the directory of recipes cannot be watched; it is looked at every two seconds: "+lost.Error())
		}
		t.worry(trouble)
		if !tried || lost != nil || set == nil || set.Dirs() != dirs {
			wait = blind // a directory that goes and comes back may be lost
		}
		if set == nil {
			_ = t.opts.Clock.Sleep(ctx, wait)
			return
		}
		if dirs = set.Dirs(); err == nil && lost == nil && !set.Quiet() {
			wait = t.opts.Delay // it may have happened before it was watched
		}
		if _, err := set.Next(ctx, t.opts.Delay, wait); err != nil {
			return
		}
	}
}

// worry puts what is wrong with the directory in force, and tells of what is new.
func (t *Tree) worry(trouble []string) {
	before := t.now.Load()
	if slices.Equal(before.trouble, trouble) {
		return
	}
	t.now.Store(&state{recipes: before.recipes, trouble: trouble, over: make(chan struct{})})
	close(before.over)
	for _, text := range trouble {
		if !slices.Contains(before.trouble, text) {
			t.opts.Told(nil, errors.New(text))
		}
	}
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
		s.files[name] = newSource(string(text), nil)
	}
	return s, nil
}

// take loads what changed, and puts all of it in force at once. The error says why
// nothing was loaded.
func (t *Tree) take(ctx context.Context, files map[string]*source) error {
	if t.files != nil && maps.EqualFunc(files, t.files, func(a, b *source) bool { return a.sum == b.sum }) {
		t.files = files
		return nil
	}
	t.forget(files)
	c := &change{tree: t, files: files, before: t.now.Load()}
	if err := t.ask(ctx, c); err != nil || ctx.Err() != nil {
		return err // it was cut off, and says nothing
	}
	c.enter()
	if t.files == nil {
		close(t.loaded)
	}
	t.files = files
	return nil
}

// change is a change of files that is being loaded.
type change struct {
	tree   *Tree
	files  map[string]*source
	before *state
	kept   map[string]*Recipe // that have nothing to do with it
	loaded []*Recipe
}

// job returns what is to be asked of a Loader.
func (c *change) job() *Job {
	job := &Job{Files: Files{}, Trouble: map[string]string{}}
	names := slices.Sorted(maps.Keys(c.files))
	for _, name := range names {
		f := c.files[name]
		if f.trouble != "" {
			job.Trouble[name] = f.trouble
			continue
		}
		job.Files[name] = f.text
		if _, known := c.tree.requires[f.sum]; !known {
			job.Items = append(job.Items, Item{File: name})
		}
	}
	c.kept = map[string]*Recipe{}
	for _, file := range names {
		old := c.old(file)
		switch {
		case strings.Contains(file, "/"):
		case old != nil && old.current(c.files):
			c.kept[old.Name] = old
		case c.files[file].trouble != "":
			c.take(Item{File: file, Load: true}, &Facts{Trouble: file + ": " + c.files[file].trouble})
		default:
			job.Items = append(job.Items, Item{File: file, Load: true})
		}
	}
	return job
}

// old is the recipe of a file as it was.
func (c *change) old(file string) *Recipe { return c.before.recipes[strings.TrimSuffix(file, ".lua")] }

// take takes the answer to an item.
func (c *change) take(item Item, f *Facts) {
	if item.Load {
		c.loaded = append(c.loaded, c.tree.recipe(item.File, f, c.files, c.old(item.File)))
		return
	}
	c.tree.requires[c.files[item.File].sum] = f.Requires
}

// enter puts in force what has been loaded, and tells of it.
func (c *change) enter() {
	t, before := c.tree, c.tree.now.Load()
	next := &state{recipes: maps.Clone(c.kept), trouble: before.trouble, over: make(chan struct{})}
	required := t.required(c.files)
	var changed []*Recipe
	for _, r := range c.loaded {
		if r.Version != nil && r.Trouble == "" && !r.Version.declares() && required[r.File] {
			continue // a part of recipes
		}
		next.recipes[r.Name] = r
		if old := before.recipes[r.Name]; old == nil || old.Trouble != r.Trouble || old.Version != r.Version {
			changed = append(changed, r)
		}
	}
	t.now.Store(next)
	close(before.over)
	for _, r := range changed {
		t.opts.Told(r, nil)
	}
}

// ask has a change loaded, however many processes that ends. The first time what is
// loaded does not wait for the rest: there is nothing that it could be mixed with.
func (t *Tree) ask(ctx context.Context, c *change) error {
	for job := c.job(); len(job.Items) > 0; {
		done := 0
		err := t.opts.Load(ctx, job, func(f *Facts) {
			if done < len(job.Items) {
				c.take(job.Items[done], f)
				done++
			}
		})
		switch {
		case ctx.Err() != nil || errors.Is(err, ErrNoLoader):
			return err
		case done == 0: // it was the first of a fresh process: nothing else is to blame
			why := "loading it fails"
			if err != nil {
				why = err.Error()
			}
			c.take(job.Items[0], &Facts{Trouble: say.Clip(why, maxTrouble)})
			done = 1
		}
		if job.Items = job.Items[done:]; t.files == nil {
			c.enter()
		}
	}
	return nil
}

// sources returns the files that decide on a recipe, as far as they are known
// without loading it.
func (t *Tree) sources(file string, files map[string]*source) []string {
	all := []string{file}
	seen := map[string]bool{file: true}
	for i := 0; i < len(all); i++ {
		f := files[all[i]]
		if f == nil {
			continue
		}
		for _, name := range t.requires[f.sum] {
			if !seen[name] {
				seen[name] = true
				all = append(all, name)
			}
		}
	}
	return append(all, specOf(file))
}

// maxFacts limits how many possibly deleted files are remembered.
const maxFacts = 100_000

// forget drops what was found out about files that are gone, when it is much.
func (t *Tree) forget(files map[string]*source) {
	if len(t.requires) <= maxFacts {
		return
	}
	kept := map[[sha256.Size]byte][]string{}
	for _, f := range files {
		if requires, known := t.requires[f.sum]; known {
			kept[f.sum] = requires
		}
	}
	t.requires = kept
}

// required returns the files that others require.
func (t *Tree) required(files map[string]*source) map[string]bool {
	all := map[string]bool{}
	for _, f := range files {
		for _, name := range t.requires[f.sum] {
			all[name] = true
		}
	}
	return all
}

func newRecipe(file string, old *Recipe) *Recipe {
	r := &Recipe{Name: strings.TrimSuffix(file, ".lua"), File: file, sources: map[string][sha256.Size]byte{}}
	if old != nil {
		r.Version = old.Version
	}
	return r
}

// recipe makes one of what was found out. When its files are not good, the version of
// old stays.
func (t *Tree) recipe(file string, f *Facts, files map[string]*source, old *Recipe) *Recipe {
	t.compiled.Add(1)
	r := newRecipe(file, old)
	r.all = f.All
	sources := f.Sources
	if sources == nil { // it ended the process that would have told them
		sources = t.sources(file, files)
	}
	for _, name := range sources {
		r.sources[name] = [sha256.Size]byte{}
		if at := files[name]; at != nil {
			r.sources[name] = at.sum
		}
	}
	if r.Trouble = f.Trouble; r.Trouble != "" {
		return r
	}
	v := &Version{Loaded: t.opts.Clock.Now(), Doc: f.Doc, Files: Files{}, Params: f.Params, Triggers: f.Triggers}
	uses := f.Uses
	if f.All {
		uses = slices.Collect(maps.Keys(files))
	}
	for _, name := range uses {
		if at := files[name]; at != nil && at.trouble == "" {
			v.Files[name] = at.text
		}
	}
	if v.Hash = hashOf(v.Files); old != nil && old.Version != nil && old.Version.Hash == v.Hash {
		v = old.Version // as it was before it was broken
	}
	r.Version = v
	return r
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
