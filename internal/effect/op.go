// Package effect is the one gate through which everything a recipe does to the
// world passes, and the vocabulary of what passes it. Start with Op (what is
// about to be done), Result (how it ended) and Gate (who may see and stop it).
package effect

import (
	"fmt"
	"slices"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
)

// Class says what a call can do to the world.
type Class uint8

// The classes, from harmless to not undoable.
const (
	Pure        Class = iota // no server is asked; never passes the gate
	Read                     // looks, changes nothing
	Write                    // creates or changes something
	Destructive              // removes or stops something
)

var classNames = [...]string{"pure", "read", "write", "destructive"}

// String returns "pure", "read", "write" or "destructive".
func (c Class) String() string { return classNames[c] }

// MarshalText returns String.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what String returns.
func (c *Class) UnmarshalText(text []byte) error {
	i := slices.Index(classNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is not a class of effects", text)
	}
	*c = Class(i)
	return nil
}

// Op is one call that is about to pass the gate.
type Op struct {
	Seq      int       `json:"seq"`      // position among the run's calls, from 1; set by the gate
	Name     string    `json:"op"`       // the Lua function, such as "docker.start"
	Class    Class     `json:"class"`    //
	Target   string    `json:"target"`   // what it is done to: a container, an image, a key
	Endpoint string    `json:"endpoint"` // which server, such as "unix:///var/run/docker.sock"
	Args     []Arg     `json:"args,omitempty"`
	Where    string    `json:"where"`            // the recipe's line, such as "bluegreen.lua:12"
	Scope    []string  `json:"scope,omitempty"`  // the steps around it, outermost first
	Branch   string    `json:"branch,omitempty"` // the parallel branch, such as "2" or "2.1"
	Start    time.Time `json:"start"`            // set by the gate
	// Timeout bounds the call, on Clock; zero leaves it to the context.
	Timeout time.Duration `json:"-"`
	Clock   clock.Clock   `json:"-"` // the server's; nil: the gate's
}

// Arg is one argument as people may see it: secrets are already redacted.
type Arg struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Raw are the words behind Value, for guards: whole, and not fit to be seen.
	Raw []string `json:"-"`
}

// Mutates reports whether the class may change the world.
func (c Class) Mutates() bool { return c >= Write }

// Outcome says how a call ended.
type Outcome string

// The outcomes.
const (
	OK        Outcome = "ok"        // done
	Unchanged Outcome = "unchanged" // the world was as wanted already; nothing was done
	Refused   Outcome = "refused"   // an answer said no, or nothing was sent: nothing was done
	Unknown   Outcome = "unknown"   // it may have been done: the answer was lost
)

// Result says how an Op ended.
type Result struct {
	Outcome  Outcome       `json:"outcome"`
	Duration time.Duration `json:"duration"`
	Summary  string        `json:"summary,omitempty"` // its result, such as "10 B in 2 layers"
	Err      error         `json:"-"`
}

// Changed reports whether the call changed, or may have changed, the world.
func (r Result) Changed(op *Op) bool {
	return op.Class.Mutates() && (r.Outcome == OK || r.Outcome == Unknown)
}
