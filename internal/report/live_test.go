package report

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// watch plays run on a terminal and returns it. snap adds what the terminal
// shows at a moment to what is compared with the golden file.
func watch(t *testing.T, width, height int, opts Options, run func(s *stage, snap func(title string))) string {
	t.Helper()
	term := newTerminal(width, height)
	opts.Mode, opts.Out, opts.Err, opts.Size = Live, term, term, term.size
	var shots strings.Builder
	snap := func(title string) { fmt.Fprintf(&shots, "--- %s\n%s", title, term.text()) }
	play(t, opts, func(s *stage) {
		run(s, func(title string) {
			s.sleep(frame + time.Millisecond)
			snap(title)
		})
	})
	snap("at the end")
	for _, c := range term.complaints {
		t.Error(c)
	}
	return shots.String()
}

// story is a run of several branches, of which one fails.
func story(s *stage, snap func(string)) {
	s.sleep(7 * time.Millisecond) // so that no event falls on a redraw
	s.do(effect.Op{Name: "docker.find", Target: "app", Class: effect.Read}, 150*time.Millisecond, done)
	find := s.begin(effect.Op{Name: "docker.wait_healthy", Target: "db", Class: effect.Read})
	find.progress("probe 2: connection refused", 0, 0)
	snap("a read shows while it runs")
	find.end(done)
	_ = s.step("", func(path []string) error {
		s.do(effect.Op{Name: "docker.tag", Target: "mepc/app:latest", Class: effect.Write, Scope: path}, time.Millisecond, effect.Result{Outcome: effect.Unchanged})
		c := s.begin(effect.Op{Name: "docker.load", Target: "mepc/app:1.1", Class: effect.Write, Scope: path})
		for i := range 12 {
			s.sleep(250 * time.Millisecond)
			c.progress("", int64(i+1)*10_000_000, 209_000_000)
		}
		snap("bytes pass")
		s.log(effect.Log{Level: "info", Text: "a log line goes above, escaped: \x1b[1A", Path: path})
		s.r.Print("and what the recipe prints")
		snap("above the area")
		c.end(effect.Result{Outcome: effect.OK, Summary: "209.0 MB in 3 layers"})
		return nil
	}, "ship")
	err := s.step("", func(outer []string) error {
		e := failure.New(failure.Refused, "exec: \"/app\": permission denied")
		e.Op, e.Target = "docker.start", "app-2"
		one := s.begin(effect.Op{Name: "docker.build", Target: "app-1", Class: effect.Write, Scope: outer, Branch: "1"})
		one.progress("Step 2/4 : COPY app /app", 1_234_567, 0)
		three := s.begin(effect.Op{Name: "docker.stop", Target: "app-3", Class: effect.Destructive, Scope: outer, Branch: "3"})
		err := s.step("2", func(path []string) error {
			s.do(effect.Op{Name: "docker.create", Target: "app-2", Class: effect.Write, Scope: path, Branch: "2"}, 15*time.Millisecond, done)
			two := s.begin(effect.Op{Name: "docker.start", Target: "app-2", Class: effect.Write, Scope: path, Branch: "2"})
			snap("branches")
			two.end(effect.Result{Outcome: effect.Refused, Err: e})
			return e
		}, "deploy", "start")
		three.end(effect.Result{Outcome: effect.Unknown, Err: failure.New(failure.Cancelled, "interrupted")})
		snap("a branch failed")
		one.end(done)
		return err
	}, "deploy")
	s.finish(err, nil)
}

func TestALiveRunLooksLikeItsGoldenFile(t *testing.T) {
	golden(t, "live_80.golden", watch(t, 80, 24, Options{Color: true}, story))
	golden(t, "live_40_ascii_verbose.golden", watch(t, 40, 24, Options{ASCII: true, Verbosity: 1}, story))
}

func TestAHundredBranchesStayWithinTheScreen(t *testing.T) {
	got := watch(t, 60, 10, Options{}, func(s *stage, snap func(string)) {
		_ = s.step("", func(outer []string) error {
			calls := make([]*call, 100)
			for i := range calls {
				b := fmt.Sprint(i + 1)
				path := []string{"deploy", "start"}
				s.emit(effect.Event{Type: effect.StepStart, Step: &effect.Step{Name: "start", Path: path, Branch: b}})
				calls[i] = s.begin(effect.Op{Name: "docker.load", Target: "app-" + b, Class: effect.Write, Scope: path, Branch: b})
				calls[i].progress("", int64(i), 100)
			}
			snap("running")
			for i, c := range calls {
				c.end(done)
				s.emit(effect.Event{Type: effect.StepEnd, Step: &effect.Step{Name: "start", Path: c.op.Scope, Branch: c.op.Branch, Duration: time.Second}})
				if i == 97 {
					snap("two left")
				}
			}
			return nil
		}, "deploy")
		s.finish(nil, nil)
	})
	running, rest, _ := strings.Cut(got, "--- two left\n")
	if want := "⠙ [7] start > docker.load app-7 6%"; strings.Count(running, "\n") != 1+8 || !strings.Contains(running, want) ||
		!strings.HasSuffix(running, "... and 93 more\n") {
		t.Errorf("no %q in 8 rows with 93 more:\n%s", want, running)
	}
	left, end, _ := strings.Cut(rest, "--- at the end\n")
	if !strings.Contains(left, "\n⠹ deploy") || !strings.Contains(left, "\n  ⠹ [99] start") || !strings.Contains(left, "\n    ⠹ docker.load app-100") {
		t.Errorf("two that fit are not shown as a tree:\n%s", left)
	}
	// The name of the outer step, two rows for each branch, and two last lines.
	if n := strings.Count(end, "\n"); n != 1+200+2 || strings.Contains(end, "⠹") {
		t.Errorf("%d rows at the end:\n%s", n, end)
	}
}

func TestALongStepIsOpenedAndItsCallsScrollAway(t *testing.T) {
	got := watch(t, 80, 24, Options{}, func(s *stage, snap func(string)) {
		_ = s.step("", func(path []string) error {
			for i := range maxHeld + 2 {
				s.do(effect.Op{Name: "redis.rpush", Target: fmt.Sprint("key", i), Class: effect.Write, Scope: path}, time.Second, done)
			}
			snap("open")
			return nil
		}, "fill")
		s.finish(nil, nil)
	})
	open, end, _ := strings.Cut(got, "--- at the end\n")
	if !strings.HasPrefix(open, "--- open\n▸ fill\n  ✓ redis.rpush key0") || !strings.Contains(open, "key7") {
		t.Errorf("the step is not open:\n%s", open)
	}
	if strings.Count(end, "key0") != 1 || !strings.Contains(end, "\n✓ fill ") {
		t.Errorf("a call twice, or no last line:\n%s", end)
	}
}

// manySpaces matches the spaces in front of a time.
var manySpaces = regexp.MustCompile(` {5,}`)

func TestBranchesThatTakeTurnsRepeatTheNamesOfTheirSteps(t *testing.T) {
	got := watch(t, 80, 24, Options{}, func(s *stage, _ func(string)) {
		for _, b := range []string{"1", "2"} {
			s.emit(effect.Event{Type: effect.StepStart, Step: &effect.Step{Name: "outer", Path: []string{"outer"}, Branch: b}})
		}
		for i, b := range []string{"1", "2", "2", "1"} {
			_ = s.step(b, func([]string) error { return nil }, "outer", fmt.Sprint("inner", i))
		}
		s.finish(nil, nil)
	})
	want := "▸ [1] outer\n  ✓ inner0 <1ms\n▸ [2] outer\n  ✓ inner1 <1ms\n  ✓ inner2 <1ms\n▸ [1] outer\n  ✓ inner3 <1ms\n"
	if got := manySpaces.ReplaceAllString(got, " "); !strings.Contains(got, want) {
		t.Errorf("no\n%sin\n%s", want, got)
	}
}

func TestANarrowedTerminalIsRedrawnFromTheFirstOfTheFoldedRows(t *testing.T) {
	width := 80
	term := newTerminal(80, 24)
	opts := Options{Mode: Live, Out: term, Err: term, Size: func() (int, int) {
		term.mu.Lock()
		defer term.mu.Unlock()
		return width, 24
	}}
	play(t, opts, func(s *stage) {
		c := s.begin(effect.Op{Name: "docker.start", Target: "app", Class: effect.Write})
		s.sleep(frame + time.Millisecond)
		// The terminal folds the one row of 79 columns into two of 40.
		term.mu.Lock()
		row := term.rows[0]
		term.rows = append([]string{row[:42], row[42:]}, term.rows[1:]...)
		term.row++
		width = 40
		term.mu.Unlock()
		s.sleep(frame)
		c.end(done)
		s.finish(nil, nil)
	})
	if got := term.text(); strings.Count(got, "docker.start") != 1 || !strings.HasPrefix(got, "✓") {
		t.Errorf("rows were left behind:\n%s", got)
	}
}

func TestEventsFromManyGoroutines(t *testing.T) {
	for _, mode := range []Mode{Live, Plain, JSON} {
		term := newTerminal(80, 24)
		r := New(Options{Mode: mode, Out: term, Err: term, Size: term.size})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 50 {
					op := &effect.Op{Seq: 1 + i*50 + j, Name: "docker.start", Target: "app", Class: effect.Write}
					r.Event(effect.Event{Type: effect.OpStart, Op: op})
					r.Event(effect.Event{Type: effect.OpProgress, Op: op, Progress: &effect.Progress{Current: 1, Total: 2}})
					r.Print("printed")
					r.Event(effect.Event{Type: effect.OpEnd, Op: op, Result: &effect.Result{Outcome: effect.OK}})
				}
			})
		}
		wg.Wait()
		r.Finish(nil, 400, time.Second, nil)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if n := strings.Count(term.text(), "printed"); n != 400 {
			t.Errorf("mode %d: %d lines were printed", mode, n)
		}
	}
}

func TestTheEndOfARunInTheMiddleOfThingsLosesNothing(t *testing.T) {
	got := watch(t, 80, 24, Options{}, func(s *stage, _ func(string)) {
		start := func(branch string, path ...string) {
			s.emit(effect.Event{Type: effect.StepStart, Step: &effect.Step{Name: path[len(path)-1], Path: path, Branch: branch}})
		}
		start("", "outer")
		start("2", "outer", "inner")
		// A branch of branch 2, in a step that branch 2 began.
		s.do(effect.Op{Name: "docker.create", Target: "a", Class: effect.Write, Scope: []string{"outer", "inner"}, Branch: "2.1"}, 0, done)
		s.begin(effect.Op{Name: "docker.start", Target: "a", Class: effect.Write, Scope: []string{"outer", "inner"}, Branch: "2.1"})
		s.finish(failure.New(failure.Internal, "a bug"), nil)
	})
	want := "▸ outer\n  ▸ [2] inner\n    ✓ [2.1] docker.create a <1ms\n    ? [2.1] docker.start a: may have been done <1ms\nerror: a bug\n"
	if got := manySpaces.ReplaceAllString(got, " "); !strings.Contains(got, want) {
		t.Errorf("no\n%sin\n%s", want, got)
	}
}
