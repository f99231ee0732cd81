package prove

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kind names what goes wrong.
type Kind string

// What goes wrong with a call.
const (
	Refused     Kind = "refused"      // the server answers no; nothing is done
	Cut         Kind = "cut"          // the connection is cut; nothing is done, which the caller does not know
	Lost        Kind = "lost"         // it is done, and the reply is lost
	CrashBefore Kind = "crash-before" // the process dies before the call
	CrashAfter  Kind = "crash-after"  // the process dies after the call is done
	Unavailable Kind = "unavailable"  // of a read: nobody answers
)

// What goes wrong with the world, just before a call.
const (
	Dies          Kind = "dies"           // a container's process dies
	EngineRestart Kind = "engine-restart" // the engine is killed and comes back; addresses move between containers
	RedisRestart  Kind = "redis-restart"  // Redis comes back with the data it had when the run began
	Deploys       Kind = "deploys"        // someone else deploys, from beginning to end
	Overlaps      Kind = "overlaps"       // someone else deploys until just before a change, and goes on when the run is over
)

// words say in a story what went wrong.
var words = map[Kind]string{
	Refused: "REFUSED", Cut: "CONNECTION CUT, not done", Lost: "done, REPLY LOST", CrashBefore: "CRASH before it", CrashAfter: "done, then CRASH",
	Unavailable: "NOBODY ANSWERED",
}

// ofWorld reports whether the fault is one of the world, not of a call.
func (k Kind) ofWorld() bool {
	return k == Dies || k == EngineRestart || k == RedisRestart || k == Deploys || k == Overlaps
}

// Place is a call that the recipe makes to a server.
type Place struct {
	Run  int    // 0: the first run; 1: the user's second one; ...
	Op   string // the Lua function, such as docker.start; end: when the run is over
	N    int    // which call of that function in the run, from 1
	Part int    // which request of that call, from 1
}

// String is the place as --plan takes it: rerun:docker.start#1.
func (p Place) String() string {
	var b strings.Builder
	switch p.Run {
	case 0:
	case 1:
		b.WriteString("rerun:")
	default:
		fmt.Fprintf(&b, "rerun%d:", p.Run)
	}
	b.WriteString(p.Op)
	if p.N > 0 {
		fmt.Fprintf(&b, "#%d", p.N)
	}
	if p.Part > 1 {
		fmt.Fprintf(&b, ".%d", p.Part)
	}
	return b.String()
}

// end is the place where a run is over.
func end(run int) Place { return Place{Run: run, Op: "end"} }

// Fault is one thing that goes wrong.
type Fault struct {
	Place Place
	Kind  Kind
	What  string // Dies: the container; Deploys: the deployer; Overlaps: the deployer and the number of the change, as in same@2
}

// String is the fault as --plan takes it: docker.start#1:lost.
func (f Fault) String() string {
	s := f.Place.String() + ":" + string(f.Kind)
	if f.What != "" {
		s += "=" + f.What
	}
	return s
}

// Plan is the faults of a trial, in the order in which they strike.
type Plan []Fault

// String is the plan as --plan takes it.
func (p Plan) String() string {
	all := make([]string, len(p))
	for i, f := range p {
		all[i] = f.String()
	}
	return strings.Join(all, ",")
}

// last returns the last run that has a fault; -1 when none has.
func (p Plan) last() int {
	last := -1
	for _, f := range p {
		last = max(last, f.Place.Run)
	}
	return last
}

// ParsePlan reads what Plan.String writes.
func ParsePlan(text string) (Plan, error) {
	var plan Plan
	for _, part := range strings.Split(text, ",") {
		f, err := parseFault(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("%q: %w", part, err)
		}
		plan = append(plan, f)
	}
	slices.SortStableFunc(plan, func(a, b Fault) int { return cmp.Compare(a.Place.Run, b.Place.Run) })
	return plan, nil
}

func parseFault(text string) (f Fault, err error) {
	at := strings.LastIndex(text, ":")
	if i := strings.Index(text, "="); i >= 0 { // what follows may have colons
		at = strings.LastIndex(text[:i], ":")
	}
	if at < 0 {
		return f, errors.New("a fault is written PLACE:KIND, such as docker.start#1:lost")
	}
	kind, what, _ := strings.Cut(text[at+1:], "=")
	f.Kind, f.What = Kind(kind), what
	if words[f.Kind] == "" && !f.Kind.ofWorld() {
		return f, fmt.Errorf("no fault is called %q: known are %s", kind, kindNames())
	}
	if (what != "") != (f.Kind == Dies || f.Kind == Deploys || f.Kind == Overlaps) {
		return f, fmt.Errorf("%s, %s and %s take a name, such as dies=app-1, and the others none", Dies, Deploys, Overlaps)
	}
	place := text[:at]
	if run, rest, ok := strings.Cut(place, ":"); ok {
		n, isRun := strings.CutPrefix(run, "rerun")
		f.Place.Run = 1
		if n != "" {
			f.Place.Run, err = strconv.Atoi(n)
		}
		if !isRun || err != nil || f.Place.Run < 1 {
			return f, fmt.Errorf("%q is neither rerun nor rerun with a number, such as rerun2", run)
		}
		place = rest
	}
	if place == "end" {
		f.Place.Op = place
		if !f.Kind.ofWorld() {
			return f, fmt.Errorf("%s is the fault of a call, and at the end there is none", f.Kind)
		}
		return f, nil
	}
	op, count, ok := strings.Cut(place, "#")
	number, part, parted := strings.Cut(count, ".")
	f.Place.Op, f.Place.Part = op, 1
	if f.Place.N, err = strconv.Atoi(number); !ok || err != nil || f.Place.N < 1 {
		return f, fmt.Errorf("%q does not say which call: docker.start#1 is the first", place)
	}
	if parted {
		if f.Place.Part, err = strconv.Atoi(part); err != nil || f.Place.Part < 1 {
			return f, fmt.Errorf("%q does not say which request of the call", place)
		}
	}
	return f, nil
}

func kindNames() string {
	var names []string
	for k := range words {
		names = append(names, string(k))
	}
	for _, k := range []Kind{Dies, EngineRestart, RedisRestart, Deploys, Overlaps} {
		names = append(names, string(k))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
