package app

import (
	"bytes"
	"context"
	"runtime/debug"

	"github.com/spf13/pflag"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/disk"
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
	s.StringVar(&r.world, "world", "", "rehearse in this `WORLD`: live (a snapshot, the default), empty, sample, or a world file")
	s.StringVar(&r.out, "out", "", "write the plan to `FILE`, for mepc-run apply")
	s.BoolVar(&r.detailed, "detailed-exitcode", false, "exit code 0: nothing to do, 2: something to do, 1: an error")
}

func (r *rehearsalFlags) check() error {
	for name, given := range map[string]bool{"world": r.world != "", "out": r.out != "", "detailed-exitcode": r.detailed} {
		if given && !r.on {
			return failure.New(failure.Usage, "--%s needs a rehearsal (-n)", name).WithHint("add -n (--dry-run)")
		}
	}
	return nil
}

// rehearsalText is the help topic.
const rehearsalText = `mepc-run -n RECIPE runs the recipe in a simulated world and prints what it would
do: what it would create (+), change (~) and remove (-), and what was assumed.
Nothing is sent to a server except the reads of a snapshot, and waits take no time:
the world has a clock of its own.

--world says where the world comes from:

  live       a snapshot of the engine and of Redis, taken by reads alone
  empty      an engine with nothing on it, and an empty Redis
  sample     a world to try things in: shop:1.0 serves the host appserver, shop:1.1
             and shop:broken wait to be deployed
  FILE       a world file; mepc-run world snapshot --out FILE writes one

A request to a host outside the world is not sent: its answer is assumed to be 200
with an empty body, and the plan says so. A router named by --router is part of the
world, and sends traffic to where the routing list points.

The plan that --out writes is carried out by mepc-run apply FILE. It refuses one
that is stale, saying what changed since, and stops before the first effect that
is not in the plan. Undo steps of a failed run are exempt.`

// rehearseStage rehearses what is on s, and shows the plan.
func (s *stage) rehearse(ctx context.Context) error {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // it is over before collecting pays
	defer s.close()
	if err := s.open(ctx, s.flags.rehearsal.world); err != nil {
		return err
	}
	p, err := s.play(ctx)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.changes = !p.Nothing()
	if err := s.showPlan(p); err != nil {
		return err
	}
	if s.result.Err != nil {
		return s.showFailure()
	}
	return nil
}

// showPlan writes the plan to where it is wanted.
func (s *stage) showPlan(p *plan.Plan) error {
	data, err := p.Encode()
	if err != nil {
		return err
	}
	if out := s.flags.rehearsal.out; out != "" {
		if err := disk.Write(out, data); err != nil {
			return failure.Wrap(failure.Output, failure.Innermost(err), "--out %s", out)
		}
	}
	if !s.flags.json {
		var b bytes.Buffer
		if err := p.Write(&b, plan.Style{Color: s.colors(s.env.Stdout), Verbose: s.flags.verbose}); err != nil {
			return err
		}
		data = b.Bytes()
		if s.flags.quiet {
			return nil
		}
	}
	if _, err := s.env.Stdout.Write(data); err != nil {
		return failure.Wrap(failure.Output, err, "write the plan")
	}
	return nil
}

// showFailure shows how the rehearsal failed as a run's failure is shown. Nothing
// real was changed, and it says so.
func (s *stage) showFailure() error {
	opts := report.Options{
		Out: s.env.Stdout, Err: s.env.Stderr, Mode: report.Plain, Verbosity: -1, Color: s.colors(s.env.Stderr),
		Clock: clock.Wall{}, Recipe: s.recipe.Name,
	}
	if s.flags.verbose {
		opts.Verbosity = 1
	}
	rep := report.New(opts)
	for _, ev := range s.trouble {
		rep.Event(s.said(ev))
	}
	err := s.saidError(s.result.Err)
	if e := failure.As(err); e != nil && e.State != "" {
		e.State = "in the rehearsal, not on a server:\n" + e.State
	}
	rep.Finish(err, 0, 0, nil)
	if err := rep.Close(); err != nil {
		return err
	}
	return shown{s.result.Err}
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
		*text = s.result.Said(*text)
	}
	return &said
}
