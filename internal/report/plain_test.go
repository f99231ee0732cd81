package report

import (
	"strings"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// both returns what went to stdout and to stderr, apart.
func (s *stage) both() string {
	return "--- stdout\n" + s.out.String() + "--- stderr\n" + s.err.String()
}

func TestPlainRunsLookLikeTheirGoldenFiles(t *testing.T) {
	for _, test := range []struct {
		name string
		opts Options
		run  func(*stage)
	}{
		{"plain_deploy", Options{Mode: Plain}, deploy},
		{"plain_deploy_verbose", Options{Mode: Plain, Verbosity: 1}, deploy},
		{"plain_deploy_quiet", Options{Mode: Plain, Verbosity: -1}, deploy},
		{"plain_broken", Options{Mode: Plain}, broken},
		{"plain_broken_verbose_color", Options{Mode: Plain, Verbosity: 1, Color: true}, broken},
		{"plain_broken_quiet", Options{Mode: Plain, Verbosity: -1}, broken},
		{"json_deploy", Options{Mode: JSON}, deploy},
		{"json_deploy_verbose", Options{Mode: JSON, Verbosity: 1}, deploy},
		{"json_broken", Options{Mode: JSON}, broken},
	} {
		t.Run(test.name, func(t *testing.T) {
			golden(t, test.name+".golden", play(t, test.opts, test.run).both())
		})
	}
}

func TestWithoutATerminalAutoIsPlain(t *testing.T) {
	s := play(t, Options{}, func(s *stage) {
		s.do(effect.Op{Name: "docker.start", Target: "app", Class: effect.Write}, time.Second, done)
		s.finish(nil, nil)
	})
	want := "00:00:00 start    docker.start app\n00:00:01 ok       docker.start app 1.0s\ndone: 1 effect in 1.0s\n"
	if got := s.err.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestARunWithoutEffectsSaysThatNothingWasToDo(t *testing.T) {
	s := play(t, Options{}, func(s *stage) { s.finish(nil, nil) })
	want := "nothing to do: everything is as bluegreen.lua wants it (0 effects in <1ms)\n"
	if got := s.err.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnErrorBeforeAnyCallSaysThatNothingWasChanged(t *testing.T) {
	s := play(t, Options{}, func(s *stage) {
		s.finish(failure.New(failure.Invalid, "unknown parameter imgae").WithHint("did you mean image?"), nil)
	})
	want := "error: unknown parameter imgae\n  nothing was changed\n  next: did you mean image?\n"
	if got := s.err.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestACallWithoutAnEndMayHaveBeenDone(t *testing.T) {
	for _, mode := range []Mode{Plain, Live, JSON} {
		s := play(t, Options{Mode: mode}, func(s *stage) {
			s.begin(effect.Op{Name: "docker.stop", Target: "app-green", Class: effect.Destructive})
			s.finish(failure.New(failure.Internal, "a bug"), nil)
		})
		got := strings.ReplaceAll(s.err.String(), eraseLine, "")
		if !strings.Contains(got, "docker.stop app-green - may have been done: look before you run it again\n") {
			t.Errorf("mode %d: the error does not list the call:\n%s", mode, got)
		}
		if !strings.Contains(got, "(1 effect in") {
			t.Errorf("mode %d: the call is not counted:\n%s", mode, got)
		}
		if got := s.out.String(); mode == JSON && !strings.Contains(got, `"outcome":"unknown"`) {
			t.Errorf("JSON: no effect with an unknown outcome:\n%s", got)
		}
	}
}

func TestManyChangesAreCutExceptTheDoubtfulOnes(t *testing.T) {
	s := play(t, Options{Verbosity: -1}, func(s *stage) {
		for i := range 100 {
			res := done
			if i == 3 {
				res = effect.Result{Outcome: effect.Unknown}
			}
			s.do(effect.Op{Name: "redis.rpush", Target: "frontend:" + strings.Repeat("a", i+1), Class: effect.Write}, 0, res)
		}
		for range 5 {
			s.do(effect.Op{Name: "redis.publish", Target: "dead", Class: effect.Write}, 0, done)
		}
		s.finish(failure.New(failure.Script, "enough"), nil)
	})
	got := s.err.String()
	for _, want := range []string{
		"    ... 3 more ...\n    redis.rpush frontend:aaaa - may have been done",
		"    ... 57 more ...\n",
		"    redis.publish dead (5 times)\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n"); n != 2+2+1+maxChanges {
		t.Errorf("%d lines", n)
	}
}
