package app

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/report"
	"github.com/mepc/mepc-run/internal/say"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// keepAge is the longest time the journal of a run is kept.
const keepAge = 180 * 24 * time.Hour

// journalText is the help topic.
const journalText = `Each run has a journal: a file in the state directory that is written ahead. What
is about to be done is on disk before it is done; if it cannot be written, as on a
full disk, the run stops before its next effect. Secrets are not in it.

  mepc-run runs                 the runs, newest first
  mepc-run show [RUN]           what a run did, and how it ended
  mepc-run logs [RUN]           the same, line by line, with read-only calls
  mepc-run history APP          who deployed what, when, from where
  mepc-run resume [RUN]         resumes an interrupted run
  mepc-run abort [RUN]          undoes an interrupted run

RUN is a run's name, or the beginning or end of one; the default is the latest.

The state directory is --state, else MEPC_STATE, else XDG_STATE_HOME/mepc-run,
else ~/.local/state/mepc-run. --keep-runs sets how many runs are kept; journals
older than half a year are removed in any case.`

// begin opens the run's journal, and makes the run's secrets known to what
// cleans it.
func (r *runner) begin(ctx context.Context, dir *journal.Dir, world *servers.Clients, recipe *runtime.Recipe, declared []runtime.Param, x *execution) (*journal.Journal, error) {
	_, store, err := world.Redis(ctx, "")
	if err != nil {
		store = "" // the recipe may do without one; if not, it says what is wrong
	}
	h := journal.Header{
		ID: x.served.id(), App: runtime.AppOf(recipe.Name, declared, x.opts.Params), Recipe: x.name, File: recipe.Name, Hash: recipe.Hash,
		Params: maps.Clone(x.opts.Params), PID: os.Getpid(), Who: x.served.who(r.who()), Host: hostname(), Version: buildOf(r.env).String(),
		Docker: world.DockerName(servers.DockerEndpoint{}), Redis: store, Options: r.options(),
	}
	if x.opts.Scrub == nil {
		x.opts.Scrub = &runtime.Scrubber{}
	}
	for _, name := range slices.Sorted(maps.Keys(h.Params)) {
		v, isText := h.Params[name].(string)
		password := ""
		if isText {
			password = passwordIn(v)
		}
		if password != "" {
			x.opts.Scrub.Add(password)
		}
		if declaredSecret(declared, name) && isText {
			x.opts.Scrub.Add(v)
		}
		if declaredSecret(declared, name) || password != "" {
			delete(h.Params, name)
			h.Secret = append(h.Secret, name)
		}
	}
	s := journal.Settings{Clean: x.opts.Scrub.Clean}
	if x.resumes != nil {
		h.Resumes, h.Aborts, s.Memo = x.resumes.ID, x.resumes.Aborts, x.resumes.Memos()
	}
	if x.aborts != nil {
		h.Aborts = x.aborts.ID
	}
	return dir.Begin(h, s)
}

func declaredSecret(declared []runtime.Param, name string) bool {
	return slices.ContainsFunc(declared, func(p runtime.Param) bool { return p.Name == name && p.Type == "secret" })
}

// passwordIn returns the password of text that is a URL with one, or "".
func passwordIn(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return ""
	}
	password, _ := u.User.Password()
	return password
}

// options returns the flags that a resumed run needs again.
func (r *runner) options() journal.Options {
	o := r.flags.Options
	o.Routers = r.routers()
	if u, err := url.Parse(o.Redis); err == nil && u.User != nil || err != nil {
		o.Redis, o.RedisPassword = "", true
	}
	return o
}

// tellCutOff is the number of interrupted runs that are reported one by one.
const tellCutOff = 3

// noticeCutOff says which runs of the same app were cut off, and what this run
// does about it, and returns them. It removes what is left of old runs.
func (r *runner) noticeCutOff(dir *journal.Dir, jour *journal.Journal, x *execution, rep *report.Report) []*journal.Head {
	all, _ := dir.Tidy(int(r.flags.KeepRuns)-1, keepAge) // what could not be removed is tried by the next run
	if x.aborts != nil {
		return nil // it takes one back, and leaves the others
	}
	app := jour.App()
	left := slices.DeleteFunc(all, func(h *journal.Head) bool { return h.App != app || x.deals(h.ID) })
	for _, run := range left[:min(len(left), tellCutOff)] {
		rep.Event(warning(fmt.Sprintf("%s was cut off%s. This run starts from the top and picks up what that one left", describeRun(run), whereOf(run))))
	}
	if more := len(left) - tellCutOff; more > 0 {
		rep.Event(warning(fmt.Sprintf("so were %s before: mepc-run history %s", say.Count(more, "run"), report.Clean(app))))
	}
	return left
}

// deals reports whether the execution is about the run id that was cut off.
func (x *execution) deals(id string) bool {
	return x.resumes != nil && (id == x.resumes.ID || id == x.resumes.Aborts) || x.aborts != nil && id == x.aborts.ID
}

// describeRun names a run to people.
func describeRun(run *journal.Head) string {
	return fmt.Sprintf("run %s (%s, by %s on %s)", run.ID, run.Recipe, run.Who, run.Host)
}

// whereOf says how far a run came that was cut off.
func whereOf(run *journal.Head) string {
	where := ""
	if len(run.Step) > 0 {
		where = " in step " + report.Clean(strings.Join(run.Step, " > "))
	}
	if run.Effects < 0 {
		return where
	}
	return fmt.Sprintf("%s after %s", where, say.Count(run.Effects, "effect"))
}

// settle notes in the journals of runs that were cut off that this one, which
// went well, dealt with them. What cannot be noted is tried by the next run.
func settle(dir *journal.Dir, left []*journal.Head, id string, x *execution) {
	note := func(run, how string) { _ = dir.Settle(run, journal.By{Run: id, How: how}, true) }
	for _, run := range left {
		_ = dir.Settle(run.ID, journal.By{Run: id, How: "superseded"}, false) // there may be hundreds
	}
	if x.resumes != nil {
		note(x.resumes.ID, "resumed")
		if x.resumes.Aborts != "" {
			note(x.resumes.Aborts, "aborted")
		}
	}
	if x.aborts != nil {
		for _, run := range resumed(dir, x.aborts) {
			note(run.ID, "aborted")
		}
	}
}
