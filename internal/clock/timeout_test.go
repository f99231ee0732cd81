package clock

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAVirtualTimeoutEndsOnItsClock(t *testing.T) {
	late := errors.New("no answer")
	for name, c := range map[string]struct {
		limits []time.Duration // one within the other
		sleeps []time.Duration
		passed time.Duration // of which no more pass
		want   error         // of the last sleep
	}{
		"in time":                  {[]time.Duration{time.Minute}, []time.Duration{59 * time.Second}, 59 * time.Second, nil},
		"at its end":               {[]time.Duration{time.Minute}, []time.Duration{time.Minute}, time.Minute, late},
		"past its end":             {[]time.Duration{time.Minute}, []time.Duration{time.Hour}, time.Minute, late},
		"step by step":             {[]time.Duration{time.Minute}, []time.Duration{40 * time.Second, 40 * time.Second}, time.Minute, late},
		"again after its end":      {[]time.Duration{time.Minute}, []time.Duration{time.Hour, time.Hour}, time.Minute, late},
		"an outer one, sooner":     {[]time.Duration{time.Second, time.Minute}, []time.Duration{time.Hour}, time.Second, late},
		"an inner one, sooner":     {[]time.Duration{time.Minute, time.Second}, []time.Duration{time.Hour}, time.Second, late},
		"none at all, and no time": {[]time.Duration{0}, []time.Duration{time.Hour}, 0, late},
	} {
		t.Run(name, func(t *testing.T) {
			v, ctx := NewVirtual(start), t.Context()
			for _, d := range c.limits {
				var cancel context.CancelFunc
				ctx, cancel = v.WithTimeout(ctx, d, late)
				defer cancel()
			}
			var err error
			for _, d := range c.sleeps {
				err = v.Sleep(ctx, d)
			}
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if timedOut := c.want != nil; TimedOut(ctx) != timedOut || errors.Is(context.Cause(ctx), context.DeadlineExceeded) != timedOut {
				t.Errorf("timed out: %v, because of %v", TimedOut(ctx), context.Cause(ctx))
			}
			if diff := cmp.Diff(c.passed, v.Now().Sub(start)); diff != "" {
				t.Error(diff)
			}
			if _, bounded := ctx.Deadline(); bounded {
				t.Error("the machine's clock has a deadline of it")
			}
		})
	}
}

func TestAVirtualTimeoutLeavesNothing(t *testing.T) {
	v := NewVirtual(start)
	ctx, cancel := v.WithTimeout(t.Context(), time.Minute, nil)
	cancel()
	if v.Step() || TimedOut(ctx) || !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("after cancel: an event is left, or %v", context.Cause(ctx))
	}
	ctx, cancel = v.WithTimeout(t.Context(), time.Minute, nil)
	defer cancel()
	v.Advance(time.Hour)
	if !TimedOut(ctx) || v.Now().Sub(start) != time.Hour {
		t.Errorf("another who lets the time pass ends it too: %v at %v", ctx.Err(), v.Now())
	}
}

func TestTimedOutTellsATimeoutFromAnEnd(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	wall, stop := Wall{}.WithTimeout(t.Context(), 0, errors.New("late"))
	defer stop()
	if TimedOut(t.Context()) || TimedOut(cancelled) || !TimedOut(wall) {
		t.Errorf("live %v, cancelled %v, too late %v", TimedOut(t.Context()), TimedOut(cancelled), TimedOut(wall))
	}
}
