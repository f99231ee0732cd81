package spec

import (
	"bytes"
	"context"
	"strings"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/runtime"
)

// Rehearsed is a recipe's run in a world, as a spec has it.
type Rehearsed struct {
	Effects  []*Effect           `lua:"effects" doc:"the calls that changed, or may have changed, something, in order"`
	Error    *runtime.Error      `lua:"error" type:"error" doc:"what ended the run: a table with kind, message, op, target, hint, state, where; nil when it went well"`
	Plan     string              `lua:"plan" doc:"the plan, as mepc-run -n prints it; empty in a real world"`
	Logs     []string            `lua:"logs" doc:"what the recipe logged and printed"`
	Value    runtime.Value       `lua:"value" doc:"what the recipe returned"`
	Duration float64             `lua:"duration" doc:"how long it took, in seconds of the world's time"`
	Requests *rehearsal.Requests `lua:"requests" doc:"what it cost; nil in a real world"`
	Assumed  []string            `lua:"assumed" doc:"what was assumed, such as a build that was not executed"`

	world *World
	name  string
}

// Effect is one of a run's effects.
type Effect struct {
	Op      string            `lua:"op" doc:"the function, such as docker.start"`
	Target  string            `lua:"target" doc:"what it was done to"`
	Args    map[string]string `lua:"args" doc:"its arguments, as people see them"`
	Outcome string            `lua:"outcome" doc:"ok, unchanged, refused or unknown"`
	Step    string            `lua:"step" doc:"the step that it is in; empty outside of any"`
	Where   string            `lua:"where" doc:"the recipe's line"`
	Undo    bool              `lua:"undo" doc:"whether it undoes something a failed run had done"`
	Changes []string          `lua:"changes" doc:"what was different after it; empty in a real world"`
}

// String names the object in messages.
func (r *Rehearsed) String() string { return "run of " + r.name }

func runType() runtime.Type {
	return runtime.Type{Name: "run", Of: (*Rehearsed)(nil), Doc: "The result of w:run.", Funcs: []runtime.Func{goldenFunc()}}
}

type runArgs struct {
	Recipe string                   `lua:"recipe,pos,required,target" doc:"a file of the project, or the name of a recipe that ships with mepc-run"`
	Params map[string]runtime.Value `lua:"params,pos" doc:"its parameters by name"`
}

func (w *World) run(c *runtime.Call, a *runArgs) (*Rehearsed, error) {
	if w.real != nil {
		return w.runReal(c, a)
	}
	recipe, err := w.file.opts.Recipe(w.stage.Host, w.file.opts.Root, a.Recipe)
	if err != nil {
		return nil, err
	}
	var notes noted
	var r *rehearsal.Run
	cover := w.file.opts.cover()
	c.Block(func(ctx context.Context) {
		w.faults.Switch(true)
		defer w.faults.Switch(false)
		r, err = w.stage.Run(ctx, a.Recipe, recipe, runtime.RunOptions{
			Params: a.Params, Seed: w.seed(), Sinks: []runtime.Sink{&notes}, Print: notes.add, Cover: cover,
			Guards: []runtime.Guard{guards(w.stage.Clients)},
		})
	})
	if err != nil {
		return nil, err
	}
	if failure.KindOf(r.Err) == failure.Cancelled || r.Err != nil && c.Context().Err() != nil {
		return nil, r.Err // the spec itself is to end
	}
	sent := w.faults.Requests()
	var text bytes.Buffer
	if err := r.Plan.Write(&text, plan.Style{}); err != nil {
		return nil, err
	}
	out := &Rehearsed{
		Error: failure.As(r.Err), Plan: text.String(), Logs: notes.lines, Value: r.Value, Duration: r.Duration.Seconds(),
		Assumed: r.Plan.Assumed, Requests: &sent, world: w, name: a.Recipe,
		Effects: effectsOf(r.Plan),
	}
	w.file.opts.covered(a.Recipe, cover, out.Effects)
	return out, nil
}

// seed returns another seed for each run in the world, as live runs draw theirs.
func (w *World) seed() int64 {
	w.runs++
	return w.runs
}

func effectOf(e *plan.Entry) *Effect {
	out := &Effect{
		Op: e.Effect.Op, Target: e.Effect.Target, Outcome: e.Effect.Outcome, Step: strings.Join(e.Step, " > "),
		Where: e.Effect.Where, Undo: e.Effect.Undo, Changes: e.Effect.Changes, Args: map[string]string{},
	}
	for _, a := range e.Effect.Args {
		out.Args[a.Name] = a.Value
	}
	return out
}

// noted collects what a recipe logs and prints.
type noted struct{ lines []string }

func (n *noted) add(line string) { n.lines = append(n.lines, line) }

// Event implements runtime.Sink.
func (n *noted) Event(ev effect.Event) {
	if ev.Type == effect.LogLine {
		n.add(ev.Log.Text)
	}
}
