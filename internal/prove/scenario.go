package prove

import (
	"context"

	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/runtime"
)

// Scenario is a recipe in a world, and what is expected of it.
type Scenario struct {
	Name  string       // for people
	World *state.State // what is true at the start
	Run   Runner       // runs the recipe under test, as its user does
	Hosts []string     // whose routing lists and traffic are watched
	// Apps are those that the lists of Hosts belong to; none: containers of any app may
	// be listed. Of several, a list whose first entry names one belongs to that.
	Apps []string
	// Others are deployers who may step in between two calls.
	Others []Deployer
	// Invariants are the team's own: each is asked after every change.
	Invariants []Invariant
	// Project is the one directory whose files the recipe may name; empty: any.
	Project string
	// Repeats says that a second run is not expected to be without effects: the
	// recipe builds anew each time.
	Repeats bool
	// Gap says that the recipe stops what serves before something else does: until it is
	// over, lists may lead to nothing and requests may fail.
	Gap bool
}

// rivals are those who may deploy at the same time: the others, or else a second user.
func (s *Scenario) rivals() []Deployer {
	if len(s.Others) > 0 {
		return s.Others
	}
	return []Deployer{{Name: "same", Run: s.Run}}
}

// Runner runs a recipe once, with opts and parameters of its own.
type Runner func(ctx context.Context, opts runtime.RunOptions) (*runtime.Result, error)

// Deployer is someone else who deploys.
type Deployer struct {
	Name string // such as "another image"
	Run  Runner
}

// Invariant is a property of a world that holds at all times.
type Invariant struct {
	Name string
	// Check returns what is wrong with the world, or "".
	Check func(*sim.World) (string, error)
}
