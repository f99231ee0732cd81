// Package approve is the Lua function approve: a recipe waits until a person says
// yes. Who is asked, and how, is the program's around it.
package approve

import (
	"context"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// Question is what a person is asked.
type Question struct {
	Number   int // among the run's, from 1
	Text     string
	Deadline time.Time
	Default  bool // what is taken for the answer at the deadline
}

// Answer is what they said.
type Answer struct {
	Approved bool
	Who      string // "" when no one answered in time
}

// Ask asks a question and waits for the answer, until the deadline or ctx ends.
type Ask func(ctx context.Context, q Question) (Answer, error)

// New returns the module. With a nil ask, approve refuses: there is no one to ask.
func New(ask Ask) runtime.Module {
	return runtime.Module{
		Name: "approve",
		Doc:  "A person decides: approve(question) waits until somebody says yes.",
		Self: runtime.PerRun(func(w *servers.Clients) *asking { return &asking{world: w, ask: ask} }),
		Funcs: []runtime.Func{{
			Name: "", Class: runtime.Read, Timeout: longest,
			Doc: "Asks whether to go on, and waits for the answer: of mepc-run approve RUN, of the page, or of the API of mepc-run serve. " +
				"A no is an error of kind denied, which undoes what the run did; so is silence, unless default says otherwise. " +
				"A run that resumes another asks again: put it into step(name, fn, {once = true}) if one yes is enough. " +
				"A rehearsal takes what its world says under approvals; where that says nothing, yes, and the plan notes it.",
			From:    "a person, by mepc-run approve, the page or the API",
			Returns: "who approved; \"\" when default decided",
			Raises:  []runtime.Kind{failure.Denied, failure.Timeout, failure.Cancelled, failure.NotModelled},
			Example: `local who = approve("Promote 1.4 to production?", {timeout = "1h", default = "abort"})
log("approved by " .. who)`,
			Call: runtime.Effect((*asking).approve),
		}},
	}
}

// longest is how long a question may stay open.
const longest = 31 * 24 * time.Hour

// asking is a run's.
type asking struct {
	world  *servers.Clients
	ask    Ask
	number int
}

type args struct {
	Question string        `lua:"question,pos,required,target" doc:"what is asked, as one reads it without having the recipe before them"`
	Timeout  time.Duration `lua:"timeout" default:"1h" min:"1" max:"2592000" doc:"how long to wait for an answer"`
	Default  string        `lua:"default" default:"abort" enum:"abort|approve" doc:"what silence means"`
}

func (a *asking) approve(ctx context.Context, q *args) (string, error) {
	var got Answer
	var err error
	switch {
	case a.world.Rehearsed():
		got.Approved, err = a.world.Approved(q.Question)
		got.Who = "the rehearsal"
	case a.ask == nil:
		return "", failure.New(failure.Denied, "there is no one to ask here")
	default:
		a.number++
		deadline := a.world.Clock().Now().Add(q.Timeout)
		got, err = a.ask(ctx, Question{Number: a.number, Text: q.Question, Deadline: deadline, Default: q.Default == "approve"})
	}
	switch {
	case err != nil:
		return "", err
	case got.Approved:
		effect.Note(ctx, "approved"+by(got.Who))
		return got.Who, nil
	case got.Who == "":
		return "", failure.New(failure.Timeout, "nobody approved in %s: %s", q.Timeout, q.Question).WithHint("run it again when somebody is there to answer")
	}
	return "", failure.New(failure.Denied, "rejected%s: %s", by(got.Who), q.Question)
}

func by(who string) string {
	if who == "" {
		return " by default"
	}
	return " by " + who
}
