package reload

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/lint"
	"github.com/mepc/mepc-run/internal/say"
	"github.com/mepc/mepc-run/modules/on"
	"github.com/mepc/mepc-run/runtime"
)

// Loader compiles recipes, checks them, asks them what they declare and runs their
// specs. Whatever a recipe does to it, it does to the process that the Loader is
// in: a server has one for the purpose.
type Loader struct {
	Host    *runtime.Host
	Linter  *lint.Linter
	Library fs.FS // what every recipe may require, after the directory's own files
	World   any   // is handed to recipes that are loaded; every call to it is denied
	// Specs runs the spec file name of files and returns which of them it looked for.
	// Its error says which test failed. nil: specs are not run.
	Specs func(ctx context.Context, files fs.FS, name string) (uses []string, err error)
	// Begins is called before each item, with the longest time it may compute.
	Begins func(Item, time.Duration)
}

// LoadTime bounds the loading of one recipe, and SpecTime its specs.
const (
	LoadTime = 5 * time.Second
	SpecTime = 30 * time.Second
)

// Serve answers a job with a line for each of its items, in order.
func (l *Loader) Serve(ctx context.Context, job *Job, out io.Writer) error {
	return l.each(ctx, job, write(out))
}

// Load answers a job in this process. It has the form of Options.Load.
func (l *Loader) Load(ctx context.Context, job *Job, told func(*Facts)) error {
	return l.each(ctx, job, func(f *Facts) error { told(f); return nil })
}

func (l *Loader) each(ctx context.Context, job *Job, told func(*Facts) error) error {
	t := &task{Loader: l, job: job, requires: map[string][]lint.Require{}, linted: map[string]error{}}
	for _, item := range job.Items {
		f := &Facts{}
		if l.Begins != nil {
			l.Begins(item, LoadTime)
		}
		if item.Load {
			f = t.load(ctx, item.File)
		} else {
			for _, r := range t.requiresOf(item.File) {
				if r.Name != "" {
					f.Requires = append(f.Requires, fileOf(r.Name))
				}
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := told(f); err != nil {
			return err
		}
	}
	return nil
}

// task is a job under way, and what was found out about its files.
type task struct {
	*Loader
	job      *Job
	requires map[string][]lint.Require // by file
	linted   map[string]error          // by a file and all that it requires
}

// fileOf returns the path at which require looks.
func fileOf(module string) string { return strings.ReplaceAll(module, ".", "/") + ".lua" }

// requiresOf reads a file's own requires, once.
func (t *task) requiresOf(name string) []lint.Require {
	text, there := t.job.Files[name]
	if !there {
		return nil
	}
	all, done := t.requires[name]
	if !done {
		_, all = t.Linter.Read(lint.Source{Name: name, Text: []byte(text)})
		t.requires[name] = all
	}
	return all
}

// closure is a file and all that it requires.
type closure struct {
	files   Files
	sources map[string]bool // also of what is not there
	all     bool            // which files these are is known only when it runs
	trouble error           // one of them could not be read
}

func (t *task) closureOf(name string) *closure {
	c := &closure{files: Files{}, sources: map[string]bool{}}
	for todo := []string{name}; len(todo) > 0; todo = todo[1:] {
		at := todo[0]
		if c.sources[at] {
			continue
		}
		c.sources[at] = true
		if why, broken := t.job.Trouble[at]; broken && c.trouble == nil {
			c.trouble = fmt.Errorf("%s: %s", at, why)
		}
		text, there := t.job.Files[at]
		if !there {
			continue
		}
		c.files[at] = text
		for _, r := range t.requiresOf(at) {
			if r.Name == "" {
				c.all = true
				continue
			}
			todo = append(todo, fileOf(r.Name))
		}
	}
	return c
}

// load says what a recipe is, or what is wrong with it.
func (t *task) load(ctx context.Context, file string) *Facts {
	c := t.closureOf(file)
	f, err := t.try(ctx, file, c)
	if err != nil {
		f = &Facts{Trouble: say.Clip(err.Error(), maxTrouble)}
	}
	f.Sources, f.All = slices.Sorted(maps.Keys(c.sources)), c.all
	return f
}

func (t *task) try(ctx context.Context, file string, c *closure) (*Facts, error) {
	if c.trouble != nil {
		return nil, c.trouble
	}
	if strings.TrimSpace(c.files[file]) == "" {
		return nil, fmt.Errorf("%s is empty", file) // somebody may be about to write it
	}
	if err := t.lint(c.files); err != nil {
		return nil, err
	}
	if c.all {
		c.files = t.job.Files
	}
	recipe, err := t.Host.LoadFS(c.files, file)
	if err != nil {
		return nil, err
	}
	loading, cancel := context.WithTimeoutCause(ctx, LoadTime, failure.New(failure.Timeout, "loading it takes longer than %s", LoadTime))
	defer cancel()
	declared, err := t.Host.Inspect(loading, recipe, t.World)
	if err != nil {
		return nil, err
	}
	triggers, err := on.Triggers(declared)
	if err != nil {
		return nil, err
	}
	f := &Facts{Doc: recipe.Doc, Params: declared.Params, Triggers: triggers}
	if !c.all {
		f.Uses = slices.Sorted(maps.Keys(c.files))
	}
	if err := finite(f.Params); err != nil {
		return nil, err
	}
	return f, t.specs(ctx, file, c)
}

// finite makes bounds that bound nothing none: JSON has no infinity.
func finite(params []runtime.Param) error {
	for i, p := range params {
		for _, bound := range []*float64{p.Min, p.Max} {
			if bound != nil && math.IsNaN(*bound) {
				return fmt.Errorf("params.%s: a bound is not a number", p.Name)
			}
		}
		if p.Min != nil && math.IsInf(*p.Min, -1) {
			params[i].Min = nil
		}
		if p.Max != nil && math.IsInf(*p.Max, 1) {
			params[i].Max = nil
		}
	}
	return nil
}

// lint returns the first error that is found in files. Warnings are for the author.
func (t *task) lint(files Files) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		key := name + " " + hashOf(t.closureOf(name).files)
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

func (t *task) lintFile(name string, files Files) error {
	for _, f := range t.Linter.File(lint.Source{Name: name, Text: []byte(files[name]), Trees: []fs.FS{files, t.Library}}) {
		if strings.HasPrefix(f.Code, "E") {
			return fmt.Errorf("%s:%d:%d: %s %s", name, f.Line, f.Col, f.Code, f.Message)
		}
	}
	return nil
}

// specOf returns the path of a recipe's specs.
func specOf(file string) string {
	return path.Join("spec", strings.TrimSuffix(file, ".lua")+"_spec.lua")
}

// specs runs spec/NAME_spec.lua, if there is one.
func (t *task) specs(ctx context.Context, file string, c *closure) error {
	name := specOf(file)
	c.sources[name] = true
	if why, broken := t.job.Trouble[name]; broken {
		return errors.New(name + ": " + why)
	}
	if _, there := t.job.Files[name]; !there || t.Specs == nil {
		return nil
	}
	if t.Begins != nil {
		t.Begins(Item{File: name}, SpecTime)
	}
	ctx, cancel := context.WithTimeout(ctx, SpecTime)
	defer cancel()
	uses, err := t.Specs(ctx, t.job.Files, name)
	for _, used := range uses {
		c.sources[used] = true
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
