package report

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// golden compares got with testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s: (-want +got)\n%s", name, d)
	}
}

// stage plays runs to a report, as a gate would, in a bubble where time is
// virtual: it starts at 2000-01-01 00:00:00 UTC.
type stage struct {
	t        *testing.T
	r        *Report
	out, err bytes.Buffer
	seq      int
	changed  int
	start    time.Time
}

// play runs f on a stage in a bubble and returns the stage afterwards.
func play(t *testing.T, opts Options, f func(*stage)) *stage {
	t.Helper()
	s := &stage{t: t}
	synctest.Test(t, func(t *testing.T) {
		s.start = clock.Wall{}.Now()
		if opts.Out == nil {
			opts.Out = &s.out
		}
		if opts.Err == nil {
			opts.Err = &s.err
		}
		if opts.Recipe == "" {
			opts.Recipe = "bluegreen.lua"
		}
		s.r = New(opts)
		f(s)
		if err := s.r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func (s *stage) sleep(d time.Duration) { _ = clock.Wall{}.Sleep(context.Background(), d) }

func (s *stage) emit(ev effect.Event) {
	ev.Time = clock.Wall{}.Now().UTC()
	s.r.Event(ev)
}

// call is an op under way on the stage.
type call struct {
	s  *stage
	op *effect.Op
}

func (s *stage) begin(op effect.Op) *call {
	s.seq++
	op.Seq, op.Start = s.seq, clock.Wall{}.Now().UTC()
	c := &call{s, &op}
	s.emit(effect.Event{Type: effect.OpStart, Op: c.op})
	return c
}

func (c *call) progress(text string, current, total int64) {
	c.s.emit(effect.Event{Type: effect.OpProgress, Op: c.op, Progress: &effect.Progress{Text: text, Current: current, Total: total}})
}

func (c *call) end(res effect.Result) {
	res.Duration = clock.Wall{}.Now().Sub(c.op.Start)
	if res.Changed(c.op) {
		c.s.changed++
	}
	c.s.emit(effect.Event{Type: effect.OpEnd, Op: c.op, Result: &res})
}

// do begins op, lets d pass and ends it.
func (s *stage) do(op effect.Op, d time.Duration, res effect.Result) {
	c := s.begin(op)
	s.sleep(d)
	c.end(res)
}

func (s *stage) step(branch string, f func(path []string) error, path ...string) error {
	begun := clock.Wall{}.Now()
	st := effect.Step{Name: path[len(path)-1], Path: path, Branch: branch, Where: "bluegreen.lua:40"}
	s.emit(effect.Event{Type: effect.StepStart, Step: &st})
	err := f(path)
	ended := st
	ended.Duration, ended.Err = clock.Wall{}.Now().Sub(begun), err
	s.emit(effect.Event{Type: effect.StepEnd, Step: &ended})
	return err
}

func (s *stage) log(l effect.Log) { s.emit(effect.Event{Type: effect.LogLine, Log: &l}) }

func (s *stage) finish(err error, value any) {
	s.r.Finish(err, s.changed, clock.Wall{}.Now().Sub(s.start), value)
}

var done = effect.Result{Outcome: effect.OK}

// deploy is a run that goes well.
func deploy(s *stage) {
	s.do(effect.Op{Name: "docker.find", Target: "app-blue", Class: effect.Read, Where: "bluegreen.lua:8"}, 2*time.Millisecond, done)
	_ = s.step("", func(path []string) error {
		c := s.begin(effect.Op{
			Name: "docker.load", Target: "mepc/app:1.1", Class: effect.Write, Scope: path, Where: "bluegreen.lua:12",
			Endpoint: "unix:///var/run/docker.sock",
		})
		for i := range 10 {
			s.sleep(500 * time.Millisecond)
			c.progress("layer "+string(rune('a'+i)), int64(i+1)*20_000_000, 200_000_000)
		}
		c.end(effect.Result{Outcome: effect.OK, Summary: "200.0 MB"})
		s.do(effect.Op{Name: "docker.tag", Target: "mepc/app:latest", Class: effect.Write, Scope: path, Where: "bluegreen.lua:13"},
			4*time.Millisecond, effect.Result{Outcome: effect.Unchanged})
		return nil
	}, "ship")
	s.log(effect.Log{Level: "debug", Text: "not for everyone", Where: "bluegreen.lua:15"})
	s.log(effect.Log{Level: "warn", Text: "slow disk\x1b[2J\nsecond line", Fields: []effect.Arg{{Name: "host", Value: "a b"}}, Where: "bluegreen.lua:16"})
	s.r.Print("http://appserver/\tis app-blue")
	_ = s.step("", func(path []string) error {
		s.do(effect.Op{
			Name: "docker.start", Target: "app-blue", Class: effect.Write, Scope: path, Where: "bluegreen.lua:42",
			Args: []effect.Arg{{Name: "timeout", Value: "10s"}, {Name: "cmd", Value: "serve -v"}}, Branch: "2",
		}, 380*time.Millisecond, done)
		s.do(effect.Op{Name: "http.get", Target: "http://172.17.0.2:8080/", Class: effect.Read, Scope: path, Where: "lib/health.lua:9"},
			time.Millisecond, done)
		return nil
	}, "start")
	s.finish(nil, map[string]any{"release": "8f3a", "weight": 0.5})
}

// broken is a run in which a start fails in a branch, and undoing is uncertain.
func broken(s *stage) {
	const host1, host2 = "ssh://host1", "ssh://host2"
	err := s.step("", func(outer []string) error {
		s.do(effect.Op{Name: "docker.create", Target: "app-blue", Class: effect.Write, Scope: outer, Branch: "1", Endpoint: host1, Where: "bluegreen.lua:41"},
			15*time.Millisecond, done)
		return s.step("2", func(path []string) error {
			s.do(effect.Op{Name: "docker.create", Target: "app-blue", Class: effect.Write, Scope: path, Branch: "2", Endpoint: host2, Where: "bluegreen.lua:41"},
				15*time.Millisecond, done)
			e := failure.New(failure.Refused, "exec: \"/app\": \x1b[31mpermission denied\x1b[0m\x1b[2J\nOCI runtime \xff create failed")
			e.Op, e.Target, e.Where = "docker.start", "app-blue", "bluegreen.lua:42"
			s.do(effect.Op{Name: "docker.start", Target: "app-blue", Class: effect.Write, Scope: path, Branch: "2", Endpoint: host2, Where: "bluegreen.lua:42"},
				300*time.Millisecond, effect.Result{Outcome: effect.Refused, Err: e})
			return e
		}, "deploy", "start")
	}, "deploy")
	_ = s.step("", func(path []string) error {
		lost := failure.New(failure.Timeout, "no answer within 10s")
		s.do(effect.Op{Name: "docker.remove", Target: "app-blue", Class: effect.Destructive, Scope: path, Endpoint: host2, Where: "bluegreen.lua:60"},
			10*time.Second, effect.Result{Outcome: effect.Unknown, Err: lost})
		return lost
	}, "undo")
	final := *failure.As(err)
	final.Excerpt = "    41 | local c = docker.create{\n>   42 | \tdocker.start(c)\n    43 | end"
	final.Trace = []string{"bluegreen.lua:42: in deploy", "lib/hosts.lua:9: in map", "bluegreen.lua:60"}
	final.Library = []string{"lib/hosts.lua"}
	final.Details = "listening on :8080\npanic: no database\r\n"
	final.State = "traffic: still on app-green\nundo FAILED: no answer within 10s"
	final.Hint = "make it executable: RUN chmod +x /app\nthen run this again"
	s.finish(&final, "not shown")
}
