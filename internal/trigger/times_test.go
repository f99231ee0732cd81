package trigger_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/internal/trigger"
	"github.com/mepc/mepc-run/modules/on"
)

// set is a clock that is set while someone sleeps.
type set struct {
	clock.Wall
	now   time.Time
	jumps []time.Duration // to add to it at the end of each sleep
	stop  func()
}

func (s *set) Now() time.Time { return s.now }

func (s *set) Sleep(ctx context.Context, d time.Duration) error {
	if len(s.jumps) == 0 {
		s.stop()
		<-ctx.Done()
		return ctx.Err()
	}
	if d > time.Minute {
		panic("it sleeps longer than anyone would notice a clock that is set")
	}
	s.now = s.now.Add(d + s.jumps[0])
	s.jumps = s.jumps[1:]
	return nil
}

// A clock that is set neither freezes a schedule nor makes a time come twice.
func TestSchedulesWhileTheClockIsSet(t *testing.T) {
	start := time.Date(2026, 3, 1, 3, 59, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		jumps []time.Duration
		want  []string // of March, times that were fired
	}{
		"steady":                     {[]time.Duration{0, 0, 0}, []string{"1 04:00"}},
		"back before it is due":      {[]time.Duration{0, -time.Hour, time.Hour, 0, 0, 0}, []string{"1 04:00"}},
		"a year back, and on":        {[]time.Duration{-365 * 24 * time.Hour, 365 * 24 * time.Hour, 0, 0}, []string{"1 04:00"}},
		"back when it was fired":     {[]time.Duration{0, 0, -time.Minute, 0, 0, 0}, []string{"1 04:00"}},
		"forward over it":            {[]time.Duration{5 * time.Hour, 0}, []string{"1 04:00"}},
		"forward over many":          {[]time.Duration{10*24*time.Hour - 30*time.Second, 0, 0, 0}, []string{"1 04:00", "11 04:00"}},
		"a little back, all the way": {[]time.Duration{-time.Millisecond, -time.Millisecond, 0, 0, 0}, []string{"1 04:00"}},
	} {
		ctx, stop := context.WithCancel(t.Context())
		clk := &set{now: start, jumps: c.jumps, stop: stop}
		known := map[string]bool{} // as the queue knows deliveries
		var got []string
		trigger.Run(ctx, trigger.Options{
			Recipes: one{&reload.Recipe{Name: "r", Version: &reload.Version{Triggers: []*on.Trigger{{Source: &on.Schedule{Cron: "0 4 * * *", Zone: "UTC"}}}}}},
			Clock:   clk, Log: slog.New(slog.DiscardHandler),
			Fire: func(_ string, _ *on.Trigger, event map[string]any, delivery string) (string, error) {
				if !known[delivery] {
					at, _ := time.Parse(time.RFC3339, event["time"].(string))
					got = append(got, at.Format("2 15:04"))
				}
				known[delivery] = true
				return "", nil
			},
		})
		stop()
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: fired at %q, want %q", name, got, c.want)
		}
	}
}

func TestABugInATriggerIsToldAndItIsWatchedAgain(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log strings.Builder
	fired := 0
	trigger.Run(ctx, trigger.Options{
		Recipes: one{&reload.Recipe{Name: "r", Version: &reload.Version{Triggers: []*on.Trigger{{Source: &on.Schedule{Cron: "* * * * *", Zone: "UTC"}}}}}},
		Clock:   &set{now: time.Date(2026, 3, 1, 3, 59, 30, 0, time.UTC), jumps: make([]time.Duration, 20), stop: stop},
		Log:     slog.New(slog.NewTextHandler(&log, nil)),
		Fire: func(string, *on.Trigger, map[string]any, string) (string, error) {
			if fired++; fired == 1 {
				panic("a planted bug")
			}
			return "", nil
		},
	})
	if fired < 2 || !strings.Contains(log.String(), "a planted bug") {
		t.Errorf("fired %d times; %s", fired, &log)
	}
}
