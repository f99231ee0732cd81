package app

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/report"
	"github.com/mepc/mepc-run/runtime"
)

// keepAge is how long the journal of a run is kept at most.
const keepAge = 180 * 24 * time.Hour

// journalText is the help topic.
const journalText = `Each run has a journal: a file in the state directory that is written ahead. What
is about to be done is on disk before it is done; when it cannot be, as on a full
disk, the run stops before its next effect. Secrets are not in it.

  mepc-run runs                 the runs, newest first
  mepc-run show [RUN]           what a run did, and how it ended
  mepc-run logs [RUN]           the same, line by line, with what it only looked at
  mepc-run history APP          who deployed what, when, from where
  mepc-run resume [RUN]         goes on with a run that was cut off
  mepc-run abort [RUN]          takes back what it did

RUN is a run's name, the beginning or the end of it, or nothing: the latest.

The state directory is --state, else MEPC_STATE, else XDG_STATE_HOME/mepc-run,
else ~/.local/state/mepc-run. --keep-runs says how many runs are kept; after half
a year a journal goes in any case, unless its run was cut off.`

// stateDir returns the directory that the flags or the environment name.
func (c *command) stateDir() (*journal.Dir, error) {
	path := cmp.Or(c.flags.state, c.env.Getenv("MEPC_STATE"))
	if home := c.env.Getenv("XDG_STATE_HOME"); path == "" && filepath.IsAbs(home) {
		path = filepath.Join(home, "mepc-run")
	}
	if home := c.env.Getenv("HOME"); path == "" && filepath.IsAbs(home) {
		path = filepath.Join(home, ".local", "state", "mepc-run")
	}
	if path == "" {
		return nil, failure.New(failure.Journal, "there is no directory to keep the journal in: neither MEPC_STATE, XDG_STATE_HOME nor HOME is set").
			WithHint("name one with --state")
	}
	return journal.Open(path, clock.Wall{}), nil
}

// begin opens the run's journal, and makes the run's secrets known to what
// cleans it.
func (c *command) begin(ctx context.Context, dir *journal.Dir, world *engine.World, recipe *runtime.Recipe, declared []runtime.Param, x *execution) (*journal.Journal, error) {
	_, store, err := world.Redis(ctx, "")
	if err != nil {
		store = "" // the recipe may do without one; if not, it says what is wrong
	}
	h := journal.Header{
		ID: x.served.id(), App: runtime.AppOf(recipe.Name, declared, x.opts.Params), Recipe: x.name, File: recipe.Name, Hash: recipe.Hash,
		Params: maps.Clone(x.opts.Params), PID: os.Getpid(), Who: x.served.who(c.who()), Host: hostname(), Version: versionLine(c.env),
		Docker: world.DockerName(engine.DockerEndpoint{}), Redis: store, Options: c.options(),
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
	jour, err := dir.Begin(h, s)
	if err == nil {
		_ = dir.Prune(int(c.flags.keepRuns)-1, keepAge) // what is left of old runs harms nobody
	}
	return jour, err
}

func declaredSecret(declared []runtime.Param, name string) bool {
	return slices.ContainsFunc(declared, func(p runtime.Param) bool { return p.Name == name && p.Type == "secret" })
}

// passwordIn returns the password of text that is an URL with one, or "".
func passwordIn(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return ""
	}
	password, _ := u.User.Password()
	return password
}

// options returns the flags that a resumed run needs again.
func (c *command) options() journal.Options {
	f := &c.flags
	o := journal.Options{
		Docker: f.docker.Host, Context: f.docker.Context, Redis: f.redis, InsecureTCP: f.insecure,
		Routers: c.routers(), Allow: f.allow, Env: f.env, Secrets: f.secrets, Seed: f.seed,
	}
	if u, err := url.Parse(f.redis); err == nil && u.User != nil || err != nil {
		o.Redis, o.RedisPassword = "", true
	}
	return o
}

// who returns who runs mepc-run, as far as the environment tells.
func (c *command) who() string {
	user := cmp.Or(c.env.Getenv("USER"), c.env.Getenv("LOGNAME"), fmt.Sprintf("uid %d", os.Getuid()))
	if real := c.env.Getenv("SUDO_USER"); real != "" && real != user {
		return real + " as " + user
	}
	return user
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown host"
	}
	return name
}

// noticeCutOff says which runs of the same app were cut off, and what this run
// does about it, and returns them.
func (c *command) noticeCutOff(dir *journal.Dir, jour *journal.Journal, x *execution, rep *report.Report) []*journal.Run {
	if x.aborts != nil {
		return nil // it takes one back, and leaves the others
	}
	app := jour.App()
	left, err := dir.CutOff(func(h *journal.Header) bool { return h.App == app && !x.deals(h.ID) })
	if err != nil {
		return nil // the journal was opened there just now
	}
	for _, run := range left {
		rep.Event(warning(fmt.Sprintf("%s was cut off%s. This run begins at the top, finds what that one left, and goes on from there", describeRun(run), whereOf(run))))
	}
	return left
}

// deals reports whether the execution is about the run id that was cut off.
func (x *execution) deals(id string) bool {
	return x.resumes != nil && (id == x.resumes.ID || id == x.resumes.Aborts) || x.aborts != nil && id == x.aborts.ID
}

// describeRun names a run to people.
func describeRun(run *journal.Run) string {
	return fmt.Sprintf("run %s (%s, by %s on %s)", run.ID, run.Recipe, run.Who, run.Host)
}

// whereOf says how far a run came that was cut off.
func whereOf(run *journal.Run) string {
	where := ""
	if step := run.Step(); len(step) > 0 {
		where = " in step " + report.Clean(strings.Join(step, " > "))
	}
	return fmt.Sprintf("%s after %s", where, plural(run.Effects(), "effect"))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// settle notes in the journals of runs that were cut off that this one, which
// went well, dealt with them. What cannot be noted is tried by the next run.
func settle(dir *journal.Dir, left []*journal.Run, id string, x *execution) {
	note := func(run, how string) { _ = dir.Settle(run, journal.By{Run: id, How: how}) }
	for _, run := range left {
		note(run.ID, "superseded")
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
