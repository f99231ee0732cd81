package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/report"
	"github.com/mepc/mepc-run/servers"
)

// invocation holds what all commands share: the process, the flags, and what decides the
// exit code. Each command is a struct of its own around it.
type invocation struct {
	env      Env
	abort    context.Context // ends at the second signal
	flags    flags
	recipe   string // as the user named it
	underway atomic.Pointer[underway]
	changes  bool // a rehearsal found something to do
	// helpErr holds the error of a help function, which cannot return it.
	helpErr error
}

// servers says which servers the flags name.
func (in *invocation) servers() servers.Options {
	return servers.Options{
		Docker: servers.DockerEndpoint{Host: in.flags.Docker, Context: in.flags.Context},
		Redis:  in.flags.Redis, InsecureTCP: in.flags.InsecureTCP, Getenv: in.env.Getenv,
	}
}

// routers returns the URLs of the routers that the operator names.
func (in *invocation) routers() []string {
	if len(in.flags.Routers) > 0 {
		return in.flags.Routers
	}
	return strings.FieldsFunc(in.env.Getenv("MEPC_ROUTER"), func(r rune) bool { return r == ',' })
}

// lifted reports whether the operator lifts a restriction.
func (in *invocation) lifted(name string) bool { return slices.Contains(in.flags.Allow, name) }

// stateDir returns the directory that the flags or the environment name.
func (in *invocation) stateDir() (*journal.Dir, error) {
	path := cmp.Or(in.flags.State, in.env.Getenv("MEPC_STATE"))
	if home := in.env.Getenv("XDG_STATE_HOME"); path == "" && filepath.IsAbs(home) {
		path = filepath.Join(home, "mepc-run")
	}
	if home := in.env.Getenv("HOME"); path == "" && filepath.IsAbs(home) {
		path = filepath.Join(home, ".local", "state", "mepc-run")
	}
	if path == "" {
		return nil, failure.New(failure.Journal, "no directory to keep the journal in: MEPC_STATE, XDG_STATE_HOME and HOME are all unset").
			WithHint("name one with --state")
	}
	return journal.Open(path, clock.Wall{}), nil
}

// who returns who runs mepc-run, as far as the environment tells.
func (in *invocation) who() string {
	user := cmp.Or(in.env.Getenv("USER"), in.env.Getenv("LOGNAME"), fmt.Sprintf("uid %d", os.Getuid()))
	if real := in.env.Getenv("SUDO_USER"); real != "" && real != user {
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

// pick adds flags of a run to another command, whose help has flags as they were added.
func (in *invocation) pick(to *cobra.Command, names ...string) {
	to.Flags().SortFlags = false
	grace, seed, keep := in.flags.Grace, in.flags.Seed, in.flags.KeepRuns
	for _, g := range in.flags.groups() {
		g.VisitAll(func(f *pflag.Flag) {
			if slices.Contains(names, f.Name) {
				to.Flags().AddFlag(f)
			}
		})
	}
	if grace != 0 {
		in.flags.Grace, in.flags.Seed, in.flags.KeepRuns = grace, seed, keep
	}
}

// report returns what shows the run to the user. Its clock is the machine's, even
// where the run's is not: it says how often the screen is drawn.
func (in *invocation) report(recipe string) *report.Report {
	opts := report.Options{Out: in.env.Stdout, Err: in.env.Stderr, Clock: clock.Wall{}, Recipe: recipe}
	switch {
	case in.flags.json:
		opts.Mode = report.JSON
	case in.env.Getenv("TERM") == "dumb":
		opts.Mode = report.Plain
	}
	opts.Color = in.colors(in.env.Stderr)
	switch {
	case in.flags.quiet:
		opts.Verbosity = -1
	case in.flags.verbose:
		opts.Verbosity = 1
	}
	return report.New(opts)
}

// colors reports whether what is written to w may have colours.
func (in *invocation) colors(w io.Writer) bool {
	return in.terminal(w) && !in.flags.noColor && in.env.Getenv("NO_COLOR") == ""
}

// terminal reports whether w is one.
func (in *invocation) terminal(w io.Writer) bool {
	f, isFile := w.(*os.File)
	return isFile && term.IsTerminal(int(f.Fd()))
}

func (in *invocation) styles(w io.Writer) styles { return styles{in.colors(w)} }

// print writes results.
func (in *invocation) print(text string) error {
	if _, err := io.WriteString(in.env.Stdout, text); err != nil {
		return failure.Wrap(failure.Output, failure.Innermost(err), "write results")
	}
	return nil
}

func (in *invocation) putJSON(v any) error { return writeJSON(in.env.Stdout, v) }

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// exitCode returns the process's exit code.
func (in *invocation) exitCode(err error) int {
	var f found
	switch {
	case errors.Is(err, errSpecs):
		return 1
	case errors.As(err, &f):
		return f.exit
	case !in.flags.rehearsal.on || !in.flags.rehearsal.detailed:
		return failure.ExitCode(err)
	case err != nil:
		return 1
	case in.changes:
		return 2
	}
	return 0
}

// shown is an error that the user has seen already.
type shown struct{ err error }

func (s shown) Error() string { return s.err.Error() }
func (s shown) Unwrap() error { return s.err }

// found is the end of a command that did its work and found something. It has
// been shown, and decides the exit code.
type found struct {
	exit int
	what string
}

func (f found) Error() string { return f.what }
