package effect_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

type recorder struct{ events []effect.Event }

func (r *recorder) Event(ev effect.Event) { r.events = append(r.events, ev) }

func (r *recorder) outcomes() []effect.Outcome {
	var out []effect.Outcome
	for _, ev := range r.events {
		if ev.Type == effect.OpEnd {
			out = append(out, ev.Result.Outcome)
		}
	}
	return out
}

type guardFunc func(op *effect.Op) error

func (f guardFunc) Allow(_ context.Context, op *effect.Op) error { return f(op) }

func TestOutcomeFollowsFromTheErrorAndTheClass(t *testing.T) {
	for name, tc := range map[string]struct {
		class effect.Class
		call  func(context.Context) error
		want  effect.Outcome
	}{
		"done":                         {effect.Write, func(context.Context) error { return nil }, effect.OK},
		"found as wanted":              {effect.Write, func(ctx context.Context) error { effect.Unaltered(ctx); return nil }, effect.Unchanged},
		"answered no":                  {effect.Write, func(context.Context) error { return failure.New(failure.Conflict, "taken") }, effect.Refused},
		"reply lost":                   {effect.Destructive, func(context.Context) error { return failure.New(failure.Unknown, "cut") }, effect.Unknown},
		"a write that timed out":       {effect.Write, func(context.Context) error { return failure.New(failure.Timeout, "slow") }, effect.Unknown},
		"a read that timed out":        {effect.Read, func(context.Context) error { return failure.New(failure.Timeout, "slow") }, effect.Refused},
		"a write that never was sent":  {effect.Write, func(context.Context) error { return failure.New(failure.Unavailable, "refused") }, effect.Refused},
		"an error of no kind, a write": {effect.Write, func(context.Context) error { return errors.New("x") }, effect.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			rec := &recorder{}
			g := effect.NewGate(clock.Wall{}, nil, rec)
			g.Do(t.Context(), &effect.Op{Name: "docker.start", Class: tc.class}, tc.call)
			if diff := cmp.Diff([]effect.Outcome{tc.want}, rec.outcomes()); diff != "" {
				t.Error(diff)
			}
			changed := tc.class.Mutates() && (tc.want == effect.OK || tc.want == effect.Unknown)
			if got := g.Effects(); got == 1 != changed {
				t.Errorf("effects = %d, want changed %v", got, changed)
			}
		})
	}
}

func TestAGuardThatRefusesKeepsTheCallFromBeingSent(t *testing.T) {
	rec := &recorder{}
	denied := failure.New(failure.Denied, "listed")
	g := effect.NewGate(clock.Wall{}, []effect.Guard{guardFunc(func(op *effect.Op) error {
		if op.Class == effect.Destructive {
			return denied
		}
		return nil
	})}, rec)
	sent := 0
	call := func(context.Context) error { sent++; return nil }
	if err := g.Do(t.Context(), &effect.Op{Class: effect.Destructive}, call); !errors.Is(err, denied) {
		t.Errorf("err = %v", err)
	}
	if err := g.Do(t.Context(), &effect.Op{Class: effect.Write}, call); err != nil {
		t.Errorf("err = %v", err)
	}
	if sent != 1 {
		t.Errorf("sent %d calls, want 1", sent)
	}
	if diff := cmp.Diff([]effect.Outcome{effect.Refused, effect.OK}, rec.outcomes()); diff != "" {
		t.Error(diff)
	}
}

func TestACallIsBoundedByItsTimeoutAndToldWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := effect.NewGate(clock.Wall{}, nil)
		err := g.Do(t.Context(), &effect.Op{Class: effect.Write, Timeout: 5 * time.Second}, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		if failure.KindOf(err) != failure.Timeout || err.Error() != "no answer within 5s" {
			t.Errorf("err = %v", err)
		}
	})
}

func TestNothingIsSentOnceTheRunHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(failure.New(failure.Cancelled, "Ctrl-C"))
	g := effect.NewGate(clock.Wall{}, nil)
	err := g.Do(ctx, &effect.Op{Class: effect.Write}, func(context.Context) error {
		t.Error("sent")
		return nil
	})
	if failure.KindOf(err) != failure.Cancelled {
		t.Errorf("err = %v", err)
	}
}

func TestEventsComeInOrderWithProgressAndSummary(t *testing.T) {
	rec := &recorder{}
	g := effect.NewGate(clock.Wall{}, nil, rec)
	g.Do(t.Context(), &effect.Op{Name: "docker.load", Class: effect.Write}, func(ctx context.Context) error {
		effect.Report(ctx, effect.Progress{Current: 5, Total: 10})
		effect.Note(ctx, "1 image")
		return nil
	})
	var types []effect.EventType
	for _, ev := range rec.events {
		types = append(types, ev.Type)
	}
	if diff := cmp.Diff([]effect.EventType{effect.OpStart, effect.OpProgress, effect.OpEnd}, types); diff != "" {
		t.Error(diff)
	}
	if got := rec.events[2].Result.Summary; got != "1 image" {
		t.Errorf("summary = %q", got)
	}
	if got := rec.events[1].Op.Seq; got != 1 {
		t.Errorf("seq = %d", got)
	}
}

// asking is an error whose text asks the gate.
type asking struct{ of *effect.Gate }

func (a asking) Error() string { return fmt.Sprintf("after %d calls", a.of.Calls()) }

// reading is a sink that reads what errors say.
type reading struct{ said []string }

func (r *reading) Event(ev effect.Event) {
	if ev.Type == effect.OpEnd {
		r.said = append(r.said, ev.Result.Err.Error())
	}
}

func TestTheTextOfAForeignErrorIsAskedForOutsideOfTheLock(t *testing.T) {
	sink := &reading{}
	g := effect.NewGate(clock.Wall{}, nil, sink)
	done := make(chan error, 1)
	go func() {
		done <- g.Do(t.Context(), &effect.Op{Name: "docker.ps", Class: effect.Read}, func(context.Context) error { return asking{g} })
	}()
	select {
	case err := <-done:
		if err != (asking{g}) { //nolint:errorlint // the very one
			t.Errorf("the recipe gets %#v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the gate waits for itself")
	}
	if diff := cmp.Diff([]string{"after 1 calls"}, sink.said); diff != "" {
		t.Error(diff)
	}
}
