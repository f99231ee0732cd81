package app

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/internal/report"
)

// rehearsalFlags are the flags of a rehearsal.
type rehearsalFlags struct {
	on       bool
	world    string
	out      string
	detailed bool
}

func (r *rehearsalFlags) add(s *pflag.FlagSet) {
	s.BoolVarP(&r.on, "dry-run", "n", false, "rehearse: run the recipe in a simulated world and show what it would do")
	s.StringVar(&r.world, "world", "", "rehearse in this `WORLD`: live (a snapshot, the default), empty, or a world file")
	s.StringVar(&r.out, "out", "", "write the plan to `FILE`, for mepc-run apply")
	s.BoolVar(&r.detailed, "detailed-exitcode", false, "exit with 0: nothing to do, 2: something to do, 1: an error")
}

func (r *rehearsalFlags) check() error {
	for name, given := range map[string]bool{"world": r.world != "", "out": r.out != "", "detailed-exitcode": r.detailed} {
		if given && !r.on {
			return failure.New(failure.Usage, "--%s belongs to a rehearsal", name).WithHint("add -n (--dry-run)")
		}
	}
	return nil
}

// rehearsalText is the help topic.
const rehearsalText = `mepc-run -n RECIPE runs the recipe in a simulated world and prints what it would
do: what it would create (+), change (~) and remove (-), and what was taken for
granted. Nothing is sent to a server but the reads of a snapshot, and nobody
waits: the time is the world's.

--world says where the world comes from:

  live       a snapshot of the engine and of Redis, taken by reads alone
  empty      an engine with nothing on it, and an empty Redis
  FILE       a world file; mepc-run world snapshot --out FILE writes one

A request to a host outside of the world is not sent: 200 and an empty body are
taken for its answer, and the plan says so. A router that --router names is in
the world, and sends to where the routing list points.

The plan that --out writes is carried out by mepc-run apply FILE. It refuses one
that is stale, saying what changed since, and stops before the first effect that
is not the plan's. What takes back a failed run's doings is not held to it.`

// exitCode returns the process's exit code.
func (c *command) exitCode(err error) int {
	var f found
	switch {
	case errors.Is(err, errSpecs):
		return 1
	case errors.As(err, &f):
		return f.exit
	case !c.flags.rehearsal.on || !c.flags.rehearsal.detailed:
		return failure.ExitCode(err)
	case err != nil:
		return 1
	case c.changes:
		return 2
	}
	return 0
}

// rehearse runs the recipe name in a simulated world and shows the plan.
func (c *command) rehearse(cmd *cobra.Command, name string, args []string) error {
	ctx := cmd.Context()
	c.recipe = name
	if err := c.flags.check(); err != nil {
		return err
	}
	given, err := params(c.flags.varFiles, args)
	if err != nil {
		return err
	}
	s := &stage{command: c, name: name, params: given}
	if f := cmd.Flags().Lookup("seed"); f != nil && f.Changed {
		s.shuffle = c.flags.seed
	}
	return c.rehearseStage(ctx, s)
}

// rehearseStage rehearses what is on s, and shows the plan.
func (c *command) rehearseStage(ctx context.Context, s *stage) error {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // it is over before collecting pays
	defer s.close()
	if err := s.open(ctx, c.flags.rehearsal.world); err != nil {
		return err
	}
	p, err := s.play(ctx)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.changes = !p.Nothing()
	if err := c.showPlan(p); err != nil {
		return err
	}
	if s.failed != nil {
		return c.showFailure(s)
	}
	return nil
}

// showPlan writes the plan to where it is wanted.
func (c *command) showPlan(p *plan.Plan) error {
	data, err := p.Encode()
	if err != nil {
		return err
	}
	if out := c.flags.rehearsal.out; out != "" {
		if err := writeFile(out, data); err != nil {
			return failure.Wrap(failure.Output, innermost(err), "--out %s", out)
		}
	}
	if !c.flags.json {
		var b bytes.Buffer
		if err := p.Write(&b, plan.Style{Color: c.colors(c.env.Stdout), Verbose: c.flags.verbose}); err != nil {
			return err
		}
		data = b.Bytes()
		if c.flags.quiet {
			return nil
		}
	}
	if _, err := c.env.Stdout.Write(data); err != nil {
		return failure.Wrap(failure.Output, err, "write the plan")
	}
	return nil
}

// showFailure shows how the rehearsal failed as a run's failure is shown. Nothing
// real was changed, and it says so.
func (c *command) showFailure(s *stage) error {
	rep := report.New(report.Options{
		Out: c.env.Stdout, Err: c.env.Stderr, Mode: report.Plain, Verbosity: -1, Color: c.colors(c.env.Stderr),
		Clock: clock.Wall{}, Recipe: s.recipe.Name,
	})
	for _, ev := range s.trouble {
		rep.Event(s.said(ev))
	}
	err := s.saidError(s.failed)
	if e := failure.As(err); e != nil && e.State != "" {
		e.State = "in the rehearsal, not on a server:\n" + e.State
	}
	rep.Finish(err, 0, 0, nil)
	if err := rep.Close(); err != nil {
		return err
	}
	return shown{s.failed}
}

// said returns ev as the plan would have it.
func (s *stage) said(ev effect.Event) effect.Event {
	if ev.Step != nil {
		step := *ev.Step
		step.Err = s.saidError(step.Err)
		ev.Step = &step
	}
	if ev.Result != nil {
		res := *ev.Result
		res.Err = s.saidError(res.Err)
		ev.Result = &res
	}
	return ev
}

func (s *stage) saidError(err error) error {
	e := failure.As(err)
	if e == nil {
		return err
	}
	said := *e
	for _, text := range []*string{&said.Message, &said.Target, &said.Hint, &said.State, &said.Details} {
		*text = s.recorder.Said(*text)
	}
	return &said
}

// writeFile writes a file as a whole or not at all. Only its owner may read it.
func writeFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
