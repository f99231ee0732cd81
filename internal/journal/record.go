package journal

import (
	"encoding/json"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// Format is the version of the files' form. Format 1 had the text of the recipe's
// files in each journal, and no count of effects in its lines; it is still read.
const Format = 2

// Type says what a Record tells.
type Type string

// The types.
const (
	RunBegins  Type = "run"       // the first one
	SourceRead Type = "source"    // a file of the recipe was loaded
	Intent     Type = "intent"    // a call that may change something is about to be made
	Outcome    Type = "outcome"   // how it ended
	Looked     Type = "read"      // a call that only looks has ended
	StepBegins Type = "step"      //
	StepEnds   Type = "step_end"  //
	LogLine    Type = "log"       //
	Deferred   Type = "deferred"  // a compensation was registered
	Withdrawn  Type = "withdrawn" // it is not wanted any more
	Undone     Type = "undone"    // it was run
	Kept       Type = "memo"      // a step's value, which is not to be computed again
	Found      Type = "was"       // how something was before it was changed
	Locked     Type = "lock"      // a lock was taken
	Asked      Type = "asked"     // a person is asked whether to go on
	Answered   Type = "answered"  // and has said so, or not in time
	RunEnds    Type = "end"       // the last one of the run itself
	Settled    Type = "settled"   // a later run dealt with what this one left
	Folded     Type = "folded"    // how many looks have no line, since their answer was that of the one before
	Cut        Type = "cut"       // the file is large: what follows has no log lines, looks and steps
)

// Record is one line. Type says which of the pointers is set.
type Record struct {
	N    int       `json:"n"`
	Time time.Time `json:"time"`
	Type Type      `json:"type"`

	Run    *Header              `json:"run,omitempty"`
	Source *Source              `json:"source,omitempty"`
	Op     *effect.Op           `json:"op,omitempty"`     // Intent, Looked
	Seq    int                  `json:"seq,omitempty"`    // Outcome: the call's number
	Result *Result              `json:"result,omitempty"` // Outcome, Looked
	Step   *Step                `json:"step,omitempty"`
	Log    *effect.Log          `json:"log,omitempty"`
	Undo   *effect.Compensation `json:"undo,omitempty"`
	Error  *Error               `json:"error,omitempty"` // Undone
	Memo   *Memo                `json:"memo,omitempty"`
	Was    *Was                 `json:"was,omitempty"`
	Lock   *Lock                `json:"lock,omitempty"`
	Ask    *Question            `json:"ask,omitempty"`
	End    *End                 `json:"end,omitempty"`
	By     *By                  `json:"by,omitempty"`     // Settled
	Folded map[string]int       `json:"folded,omitempty"` // by function
	// Effects counts the calls that had changed something, or may have, when the line
	// was written: so the end of a file tells it.
	Effects int `json:"effects,omitempty"`
}

// Header says what a run is: enough to run it again.
type Header struct {
	Format  int            `json:"format"`
	ID      string         `json:"id"`
	App     string         `json:"app"`    // what history and resume find it by
	Recipe  string         `json:"recipe"` // as the user named it
	File    string         `json:"file"`   // as positions name it
	Hash    string         `json:"hash"`
	Params  map[string]any `json:"params,omitempty"`
	Secret  []string       `json:"secret_params,omitempty"` // given, and not kept
	Started time.Time      `json:"started"`
	Who     string         `json:"who"`
	Host    string         `json:"host"`
	PID     int            `json:"pid"`
	Version string         `json:"version"`
	Docker  string         `json:"docker"` // which engine, as people know it
	Redis   string         `json:"redis"`  // which Redis, without password
	Options Options        `json:"options"`
	Resumes string         `json:"resumes,omitempty"` // the run that it goes on with
	Aborts  string         `json:"aborts,omitempty"`  // the run that it undoes
}

// Options are the flags that a run was started with, as far as a resumed run
// needs them. No secret is among them: they say where secrets are read from.
type Options struct {
	Docker        string   `json:"docker,omitempty"`
	Context       string   `json:"context,omitempty"`
	Redis         string   `json:"redis,omitempty"`
	RedisPassword bool     `json:"redis_password,omitempty"` // the URL had one, which is not kept
	InsecureTCP   bool     `json:"insecure_docker,omitempty"`
	Routers       []string `json:"routers,omitempty"`
	Allow         []string `json:"allow,omitempty"`
	Env           []string `json:"env,omitempty"`
	Secrets       []string `json:"secrets,omitempty"`
	Seed          int64    `json:"seed,omitempty"`
}

// Source is a file of the recipe, pinned: a resumed run gets its text. See
// Dir.Sources.
type Source struct {
	File string `json:"file"`
	Hash string `json:"hash,omitempty"` // its SHA-256
	Text string `json:"text,omitempty"` // format 1
}

// Result says how a call ended.
type Result struct {
	Outcome  effect.Outcome `json:"outcome"`
	Duration time.Duration  `json:"duration"`
	Summary  string         `json:"summary,omitempty"`
	Error    *Error         `json:"error,omitempty"`
}

// Step is a part of the recipe.
type Step struct {
	Path     []string      `json:"path"`
	Branch   string        `json:"branch,omitempty"`
	Where    string        `json:"where,omitempty"`
	Duration time.Duration `json:"duration,omitempty"`
	Error    *Error        `json:"error,omitempty"`
}

// Memo is the value of a step that is to be done once.
type Memo struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
}

// Was records an object's state before a call changes it, which abort needs to know.
type Was struct {
	Seq       int        `json:"seq"` // the call's number
	List      string     `json:"list,omitempty"`
	Items     []string   `json:"items,omitempty"` // of the list
	Left      []string   `json:"left,omitempty"`  // what the call was to make of it
	Container *Container `json:"container,omitempty"`
}

// Container is a container as it was.
type Container struct {
	Name     string            `json:"name"`
	ID       string            `json:"id"`
	Running  bool              `json:"running"`
	Paused   bool              `json:"paused,omitempty"`
	Restart  string            `json:"restart,omitempty"`  // its policy, such as always or on-failure:5
	Networks map[string]string `json:"networks,omitempty"` // its address in each
	Ports    map[string]int    `json:"ports,omitempty"`    // what it published: 8080 -> 32768
}

// Lock is a lock that the run took.
type Lock struct {
	App   string `json:"app"`          // with the target, if any: app@target
	In    string `json:"in,omitempty"` // the Redis that has it; empty: a file
	Token int64  `json:"token"`
	From  string `json:"taken_over_from,omitempty"` // whose it was
}

// End says how the run ended.
type End struct {
	Status   string        `json:"status"` // ok, unchanged, failed, cancelled
	Effects  int           `json:"effects"`
	Duration time.Duration `json:"duration"`
	Error    *Error        `json:"error,omitempty"`
}

// By says who dealt with a run that was cut off, and how.
type By struct {
	Run string `json:"run"`
	How string `json:"how"` // resumed, aborted, superseded
}

// Error is an error as it is kept.
type Error struct {
	Kind    failure.Kind `json:"kind"`
	Message string       `json:"message"`
	Op      string       `json:"op,omitempty"`
	Target  string       `json:"target,omitempty"`
	Where   string       `json:"where,omitempty"`
	Hint    string       `json:"hint,omitempty"`
	State   string       `json:"state,omitempty"`
	Details string       `json:"details,omitempty"`
}
