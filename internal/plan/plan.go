// Package plan is what a rehearsal found out, as data: what a recipe would do,
// what each of its effects would change, and what was taken for granted.
//
// Start with Plan. A Recorder makes one: it is a sink and a guard of the
// rehearsed run. Plan.Write renders it for people, Encode and Decode are its file
// format. A Guard holds a live run to a plan: it stops before the first effect
// that differs.
//
// What comes out of the simulated world and will be different in the real one,
// such as the address of a container that the run starts, stands in a plan as a
// symbol: "<ip of app-1.1-c0ffee42>". See Symbol.
package plan

import (
	"time"

	"github.com/mepc/mepc-run/internal/effect"
)

// Format is the version of plan files that this program reads and writes.
const Format = 1

// Plan is a rehearsed run. The same rehearsal gives the same Plan, byte for byte.
type Plan struct {
	Format  int      `json:"mepc_plan"`
	Recipe  Recipe   `json:"recipe"`
	World   World    `json:"world"`
	Options Options  `json:"options"`
	Entries []Entry  `json:"entries"` // what happened, in order
	Assumed []string `json:"assumed"` // what was taken for granted
	Changes []Change `json:"changes"` // what would be different afterwards
	Summary Summary  `json:"summary"`
	Basis   []Fact   `json:"basis"`           // what the plan rests on
	Error   *Error   `json:"error,omitempty"` // how the rehearsal failed
}

// Recipe identifies the rehearsed recipe.
type Recipe struct {
	Name string `json:"name"` // as it was named on the command line
	Hash string `json:"hash"` // SHA-256 of its source, in hexadecimal
	// Files are the same of the files that it requires, by their names.
	Files  map[string]string `json:"files,omitempty"`
	Params map[string]any    `json:"params,omitempty"`
	// SecretParams are parameters that were given and must be given again: their
	// values are in no plan.
	SecretParams []string `json:"secret_params,omitempty"`
}

// Live is the World.Source of a snapshot of the real servers.
const Live = "live"

// World describes the world of the rehearsal.
type World struct {
	Source  string    `json:"source"` // Live, "empty", or the name of a world file
	Taken   time.Time `json:"taken"`  // the time that it stands for
	Engines []string  `json:"engines,omitempty"`
	Redis   string    `json:"redis,omitempty"`
}

// Options are the flags that the run depends on. Secrets and variables are named
// here, and read again when the plan is applied.
type Options struct {
	Routers []string `json:"routers,omitempty"`
	Allow   []string `json:"allow,omitempty"`
	Env     []string `json:"env,omitempty"`
	Secrets []string `json:"secrets,omitempty"` // NAME=env:VARIABLE or NAME=file:PATH
	Seed    int64    `json:"seed"`
}

// Entry is one thing that happened. Exactly one of Effect, Log and Print is set;
// none of them means that a step began.
type Entry struct {
	Step   []string `json:"step,omitempty"`   // the names of the steps around it, outermost first; its own last
	Branch string   `json:"branch,omitempty"` // the parallel branch
	Effect *Effect  `json:"effect,omitempty"`
	Log    *Log     `json:"log,omitempty"`
	Print  *string  `json:"print,omitempty"`
}

// Effect is a call that may change the world.
type Effect struct {
	Mark     Mark         `json:"mark"`
	Op       string       `json:"op"` // the Lua function, such as "docker.start"
	Target   string       `json:"target"`
	Args     []effect.Arg `json:"args,omitempty"`
	Endpoint string       `json:"endpoint,omitempty"`
	Class    string       `json:"class"`
	Where    string       `json:"where,omitempty"`
	Undo     bool         `json:"undo,omitempty"` // it undoes something a failed run had done
	Outcome  string       `json:"outcome"`
	Summary  string       `json:"summary,omitempty"` // its result
	Error    string       `json:"error,omitempty"`
	Changes  []string     `json:"changes,omitempty"` // what is different after it
}

// Log is a line that the recipe wrote.
type Log struct {
	Level  string       `json:"level"`
	Text   string       `json:"text"`
	Fields []effect.Arg `json:"fields,omitempty"`
}

// Mark says what becomes of a thing.
type Mark string

// The marks.
const (
	Added   Mark = "+"
	Changed Mark = "~"
	Removed Mark = "-"
	Same    Mark = "="
)

// Change is a thing that is different after the run.
type Change struct {
	Mark   Mark     `json:"mark"`
	Kind   string   `json:"kind"`             // container, list, key, image, network, volume
	Engine string   `json:"engine,omitempty"` // where there are several
	App    string   `json:"app,omitempty"`    // of a container: its label mepc.app
	Name   string   `json:"name"`
	Text   string   `json:"text,omitempty"`  // what it is, or what was and what is
	Lines  []string `json:"lines,omitempty"` // the entries that a list loses and gains
}

// Summary counts the changes.
type Summary struct {
	Add     int `json:"add"`
	Change  int `json:"change"`
	Remove  int `json:"remove"`
	Other   int `json:"other"`   // effects of which the world shows nothing: a message to a host outside of it, a file
	Effects int `json:"effects"` // calls that changed, or may have changed, something
}

// Fact is something that the plan depends on: one thing that an effect touches or
// the recipe looked at, as it was before.
type Fact struct {
	Kind string            `json:"kind"` // container, containers, image, images, key, keys
	Name string            `json:"name"`
	Was  map[string]string `json:"was"` // its properties; none: it was not there
}

// Error says how a rehearsal failed.
type Error struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Op      string `json:"op,omitempty"`
	Target  string `json:"target,omitempty"`
	Where   string `json:"where,omitempty"`
	Hint    string `json:"hint,omitempty"`
	State   string `json:"state,omitempty"`
	Details string `json:"details,omitempty"`
}

// Effects returns the plan's effects in order.
func (p *Plan) Effects() []*Effect {
	var all []*Effect
	for i := range p.Entries {
		if e := p.Entries[i].Effect; e != nil {
			all = append(all, e)
		}
	}
	return all
}

// Nothing reports whether there is nothing to do.
func (p *Plan) Nothing() bool { return p.Error == nil && p.Summary.Effects == 0 }
