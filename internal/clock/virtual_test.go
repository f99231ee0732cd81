package clock

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var start = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

func TestVirtualSleepAdvancesAndFiresInOrder(t *testing.T) {
	v := NewVirtual(start)
	var got []string
	note := func(name string) func() {
		return func() { got = append(got, name+" "+v.Now().Sub(start).String()) }
	}
	v.After(2*time.Second, note("b"))
	v.After(time.Second, note("a"))
	v.After(2*time.Second, note("c"))
	cancel := v.After(2*time.Second, note("never"))
	v.After(time.Second, func() { v.After(500*time.Millisecond, note("nested")) })
	v.At(start.Add(-time.Hour), note("past"))
	v.After(time.Minute, note("late"))
	cancel()
	cancel()
	wall := time.Now()
	if err := v.Sleep(t.Context(), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	want := []string{"past 0s", "a 1s", "nested 1.5s", "b 2s", "c 2s"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if now := v.Now().Sub(start); now != 5*time.Second {
		t.Errorf("the clock stands at %v", now)
	}
	if time.Since(wall) > time.Minute {
		t.Error("virtual time took real time")
	}
	if !v.Step() || v.Step() {
		t.Error("Step does not fire exactly what is left")
	}
	if now := v.Now().Sub(start); now != time.Minute {
		t.Errorf("the clock stands at %v", now)
	}
}

func TestVirtualSleepHonoursTheContext(t *testing.T) {
	v := NewVirtual(start)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	v.After(time.Second, func() { cancel(cause) })
	if err := v.Sleep(ctx, 2*time.Second); err != cause {
		t.Errorf("error is %v", err)
	}
	before := v.Now()
	if err := v.Sleep(ctx, time.Hour); err != cause || !v.Now().Equal(before) {
		t.Errorf("a sleep that never began: %v, %v", err, v.Now())
	}
	if err := v.Sleep(t.Context(), -time.Second); err != nil || !v.Now().Equal(before) {
		t.Errorf("a negative sleep: %v, %v", err, v.Now())
	}
}

type recorder struct{ slept time.Duration }

func (r *recorder) SleepVirtual(_ context.Context, _ *Virtual, d time.Duration) error {
	r.slept += d
	return nil
}

func TestVirtualLeavesSleepingToTheSleeper(t *testing.T) {
	v := NewVirtual(start)
	r := &recorder{}
	if err := v.Sleep(WithSleeper(t.Context(), r), time.Minute); err != nil {
		t.Fatal(err)
	}
	if r.slept != time.Minute || !v.Now().Equal(start) {
		t.Errorf("the sleeper got %v, the clock stands at %v", r.slept, v.Now())
	}
}

func TestVirtualIsSafeForConcurrentUse(t *testing.T) {
	v := NewVirtual(start)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				cancel := v.After(time.Millisecond, func() { v.Now() })
				_ = v.Sleep(t.Context(), time.Millisecond)
				cancel()
				v.Step()
			}
		})
	}
	wg.Wait()
}
