// Package spec runs specs: Lua files that say what recipes do, in busted's words,
// in simulated worlds. Start with Run.
//
// Each file has a Lua state of its own, in which its main chunk collects a tree of
// blocks (tree.go); then its tests are called one by one, each with an allowance
// of steps and a deadline of its own (file.go). The words of a spec are tables, as
// those of recipes are: words.go, assert.go, spies.go, and world.go for the
// simulated worlds and the runs in them.
package spec

import (
	"context"
	"io/fs"
	"time"

	"github.com/mepc/mepc-run/internal/prove"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/runtime"
)

// Kit holds what specs need of the program around them.
type Kit struct {
	// Modules holds what recipes can call. Specs get the part that needs no server, and
	// the types of the others, for the connections of a world.
	Modules []runtime.Module
	// Stage furnishes a world for recipes, which are told of the routers with those
	// URLs. wire carries what their clients send.
	Stage func(st *state.State, routers []string, wire rehearsal.Wire) (*rehearsal.Stage, error)
	// Real lays a world out on real servers; nil: worlds are simulated, and tests
	// need not say that they can be real.
	Real func(ctx context.Context, st *state.State) (*Real, error)
	// Recipe finds a recipe by the name that a spec gives it; a file is one of project.
	Recipe func(h *runtime.Host, project fs.FS, name string) (*runtime.Recipe, error)
	// Library holds the files that every file may require, after those of the project.
	Library fs.FS
	// Cache holds compiled files, for all specs to share.
	Cache *runtime.Cache
}

// Options say what is run, and how.
type Options struct {
	Kit
	Root    fs.FS    // the project
	Project string   // its directory: recipes and worlds reach no file elsewhere
	Files   []string // the spec files, by their names in Root
	Filter  Filter
	Shuffle int64          // not zero: draws the order of the tests
	Seed    int64          // draws the order where a spec says randomize() without a number
	Limits  runtime.Limits // of a spec's state; Steps are for each of its functions
	Timeout time.Duration  // of each function of a spec, in real time; 0: thirty seconds
	Jobs    int            // how many files at once; 0: as many as there are processors
	Faults  *Faults        // not nil: scenarios are tried against faults, and nothing else is run
	// Update writes a golden plan, by its name in Root; nil: they are compared.
	Update func(name string, data []byte) error
	// Train keeps the plans of scenarios, by Update, in place of comparing them.
	Train bool
	// Coverage learns what runs execute; may be nil.
	Coverage *Coverage
	// Done is told of each file when it is done, in the order of Files.
	Done func(*File)
}

const (
	defaultSteps   = 20_000_000 // of each function of a spec: about a second
	defaultTimeout = 30 * time.Second
)

// Status says how a test ended.
type Status string

// The statuses.
const (
	Passed  Status = "passed"
	Failed  Status = "failed"  // an assertion did not hold
	Broken  Status = "error"   // it raised an error, or ran past a limit
	Pending Status = "pending" // it is not written yet
)

// Result says how one test, or one failed hook, ended.
type Result struct {
	Names    []string // of the blocks around it, outermost first, and its own
	Where    string   // the line of its it()
	Status   Status
	Err      *runtime.Error // Failed, Broken
	Reason   string         // Pending: why
	Output   []string       // what it printed
	Report   *prove.Report  // of a scenario that was tried against faults
	Story    *prove.Story   // of one plan that was played
	Duration time.Duration  // real time
}

// File holds the results of one file.
type File struct {
	Name     string
	Err      *runtime.Error // it could not be run: none of its tests was
	Results  []*Result
	Uses     []string // the files of the project that it looked for, in order
	Duration time.Duration
}
