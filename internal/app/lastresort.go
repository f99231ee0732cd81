package app

import (
	"context"
	"os"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/report"
)

// A run ends its parts itself, and its compensations get their time, when Go code
// hangs in them (runtime.RunOptions.Grace). The last resort is for what hangs
// elsewhere, be it in a loop or behind a lock: it shares nothing with the code of the
// run but the journal, does not wait long for anything, and ends the process.
const (
	// overtime is the extra time the process gets after --timeout and --grace, or after the
	// second signal: more than an orderly end takes, less than two seconds.
	overtime = 1500 * time.Millisecond
	// each of what the last resort does may take this long.
	briefly = 120 * time.Millisecond
)

// underway is the run of this process.
type underway struct {
	journal *journal.Journal
	report  *report.Report
	clean   func(string) string
	began   time.Time
}

// watchdog gives up in a while, unless it is stopped before.
type watchdog struct {
	in      *invocation
	waiting context.Context
	stop    context.CancelFunc
}

func (in *invocation) watchdog() *watchdog {
	w := &watchdog{in: in}
	w.waiting, w.stop = context.WithCancel(context.Background())
	return w
}

// after gives up after d, because of what why returns then.
func (w *watchdog) after(d time.Duration, why func() error) {
	failure.Go(func() error {
		wall := clock.Wall{}
		if wall.Sleep(w.waiting, d) == nil {
			w.in.giveUp(why())
		}
		return nil
	})
}

// afterEnd gives up d after the end of ctx.
func (w *watchdog) afterEnd(ctx context.Context, d time.Duration) {
	failure.After(ctx, func() { w.after(d, func() error { return context.Cause(ctx) }) })
}

// lastResort ends the process when the run that begins now has not ended at its time,
// until the returned function is called.
func (in *invocation) lastResort(ctx context.Context) (stop func()) {
	w := in.watchdog()
	if t := in.flags.Timeout; t > 0 {
		w.after(t+in.flags.Grace+overtime, func() error { return failure.New(failure.Timeout, "the run took longer than %s", t) })
	}
	w.afterEnd(ctx, in.flags.Grace+overtime)
	return w.stop
}

// giveUp ends the process because of cause, whatever its code is doing.
func (in *invocation) giveUp(cause error) {
	e := failure.New(failure.Cancelled, "interrupted")
	if known := failure.As(cause); known != nil {
		copied := *known
		e = &copied
	}
	e.Message += "; mepc-run did not end by itself and was stopped"
	e.State = "undoing may be incomplete: mepc-run show lists what the run did"
	e.Stack = failure.Stacks()
	var told error = e
	within := func(f func()) {
		done, cancel := context.WithCancel(context.Background())
		failure.Go(func() error { defer cancel(); f(); return nil })
		wall := clock.Wall{}
		_ = wall.Sleep(done, briefly)
	}
	said := make(chan error, 1)
	within(func() { said <- in.bug(e) })
	select {
	case told = <-said:
	default:
	}
	if r := in.underway.Load(); r != nil {
		within(func() {
			effects := r.journal.Effects()
			_ = r.journal.End(report.Status(told, effects), effects, clock.Wall{}.Now().Sub(r.began), told)
		})
		shown := make(chan struct{})
		within(func() {
			r.report.Hurry()
			r.report.Finish(told, 0, clock.Wall{}.Now().Sub(r.began), nil)
			_ = r.report.Close()
			close(shown)
		})
		select {
		case <-shown:
			os.Exit(in.exitCode(told))
		default:
		}
	}
	within(func() { _ = in.unshown(nil, told) })
	os.Exit(in.exitCode(told))
}
