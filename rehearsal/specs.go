package rehearsal

import (
	"context"
	"io/fs"
	"math"
	"os"
	"path"
	"strings"
	"sync"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/prove"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/spec"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/runtime"
)

// Specs runs specs: Lua files in busted's words, which run recipes in simulated worlds.
type Specs struct {
	// Dir is the project: the directory of recipes and specs. Nothing outside of it is
	// read.
	Dir string
	// Files are the specs, by their names in Dir; none: spec/*_spec.lua.
	Files []string
	// Modules returns what recipes can call, which are told of those routers.
	Modules func(routers []string) []runtime.Module
	// Library holds files that every recipe may require; nil: none.
	Library fs.FS
	// Faults is how many faults at once the scenarios are tried against: 1 to 3. With
	// 0 the tests are run, with scenarios among them.
	Faults int
}

// SpecResult is how one test ended.
type SpecResult struct {
	File  string
	Name  string // of the blocks around it and its own
	Where string // its line
	Err   error  // nil: it passed, or is not written yet
	// Plans is how many plans of faults a scenario was tried against, and Report says
	// their results.
	Plans  int
	Report string
}

// Run runs them and returns the results in the order of the files. A test that fails is
// in the results; the error says that a file could not be run.
func (s *Specs) Run(ctx context.Context) ([]SpecResult, error) {
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, failure.Innermost(err), "open %s", s.Dir)
	}
	defer root.Close()
	files := s.Files
	if len(files) == 0 {
		if files, err = fs.Glob(root.FS(), "spec/*_spec.lua"); err != nil || len(files) == 0 {
			return nil, failure.New(failure.NotFound, "there is no spec/*_spec.lua in %s", s.Dir)
		}
	}
	opts := spec.Options{Kit: s.kit(), Root: root.FS(), Project: s.Dir, Files: files}
	opts.Limits.HeapBytes = math.MaxUint64 // several run at once, which the watch cannot tell apart
	if s.Faults > 0 {
		opts.Faults, opts.Jobs = &spec.Faults{Options: prove.Options{Depth: s.Faults, Seed: 1}}, 1
	}
	var all []SpecResult
	for _, f := range spec.Run(ctx, opts) {
		if f.Err != nil {
			return all, f.Err
		}
		for _, r := range f.Results {
			all = append(all, resultOf(f.Name, r))
		}
	}
	if ctx.Err() != nil {
		return all, context.Cause(ctx)
	}
	return all, nil
}

func resultOf(file string, r *spec.Result) SpecResult {
	out := SpecResult{File: file, Name: strings.Join(r.Names, " "), Where: r.Where}
	if r.Err != nil {
		out.Err = r.Err
	}
	if r.Report != nil {
		var b strings.Builder
		_ = r.Report.Write(&b, "") // a Builder has no errors
		out.Plans, out.Report = r.Report.Tried(), b.String()
		if out.Err == nil && r.Status != spec.Passed {
			out.Err = failure.New(failure.Script, "%s", out.Report)
		}
	}
	return out
}

// kit is what specs need of the program around them.
func (s *Specs) kit() spec.Kit {
	var mu sync.Mutex
	hosts := map[string]*runtime.Host{}
	host := func(routers []string) *runtime.Host {
		mu.Lock()
		defer mu.Unlock()
		key := strings.Join(routers, " ")
		if hosts[key] == nil {
			hosts[key] = runtime.New(runtime.Options{
				Modules: s.Modules(routers), Library: s.Library, Limits: runtime.Limits{HeapBytes: math.MaxUint64},
			})
		}
		return hosts[key]
	}
	return spec.Kit{
		Modules: s.Modules(nil), Library: s.Library,
		Stage: func(st *state.State, routers []string, wire rehearsal.Wire) (*rehearsal.Stage, error) {
			return rehearsal.New(st, rehearsal.Options{Source: "of the spec", Strict: true, Host: host(routers), Wire: wire, Project: s.Dir})
		},
		Recipe: func(h *runtime.Host, tree fs.FS, name string) (*runtime.Recipe, error) {
			name = path.Clean(name)
			if s.Library != nil && path.Ext(name) != ".lua" { // as mepc-run names those that it ships with
				return h.LoadFS(s.Library, name+".lua")
			}
			return h.LoadFS(tree, name)
		},
	}
}
