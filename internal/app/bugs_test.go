package app

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/report"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// badSink panics at what it does not like.
type badSink func(runtime.Event) bool

func (f badSink) Event(ev runtime.Event) {
	if f(ev) {
		panic("a planted bug")
	}
}

// badWriter panics when text is written to it, for the first times.
type badWriter struct {
	bytes.Buffer
	at    string
	times int
}

func (w *badWriter) Write(p []byte) (int, error) {
	if w.times > 0 && bytes.Contains(p, []byte(w.at)) {
		w.times--
		panic("a planted bug")
	}
	return w.Buffer.Write(p)
}

// badError panics when somebody asks for its text.
type badError struct{}

func (badError) Error() string { panic("a planted bug") }

type badEnd struct{ err error }

func (badEnd) Allow(context.Context, *effect.Op) error { return nil }

func (e badEnd) End(context.Context) error {
	if e.err != nil {
		return e.err
	}
	panic("a planted bug")
}

// TestABugLeavesNothingUndone plants panics in what comes after a recipe, and in what
// shows and keeps it: compensations run, the journal has its end, and there is a
// report without the secret. Where the bug is only in what is shown, the run is good.
func TestABugLeavesNothingUndone(t *testing.T) {
	t.Parallel()
	is := func(what effect.EventType) badSink { return func(ev runtime.Event) bool { return ev.Type == what } }
	for name, tc := range map[string]struct {
		plant func(c *runner, w *badWriter, x *execution)
		after string // in the recipe
		good  bool   // the run went well all the same
	}{
		"a call that logs":  {func(_ *runner, _ *badWriter, x *execution) { x.opts.Sinks = []runtime.Sink{is(effect.LogLine)} }, ``, false},
		"the end of a step": {func(_ *runner, _ *badWriter, x *execution) { x.opts.Sinks = []runtime.Sink{is(effect.StepEnd)} }, `step("s", function() end)`, false},
		"each of its events": {func(_ *runner, _ *badWriter, x *execution) {
			x.opts.Sinks = []runtime.Sink{badSink(func(runtime.Event) bool { return true })}
		}, ``, false},
		"the undoing":               {func(_ *runner, _ *badWriter, x *execution) { x.opts.Sinks = []runtime.Sink{is(effect.Undone)} }, `error("x")`, false},
		"a guard's last look":       {func(_ *runner, _ *badWriter, x *execution) { x.opts.Guards = []runtime.Guard{badEnd{}} }, ``, false},
		"an error without words":    {func(_ *runner, _ *badWriter, x *execution) { x.opts.Guards = []runtime.Guard{badEnd{badError{}}} }, ``, false},
		"a module's function":       {nil, `bad.panics(secret("key"))`, false},
		"a module's error":          {nil, `bad.fails()`, false},
		"the last words":            {func(_ *runner, _ *badWriter, x *execution) { x.last = func(*report.Report) { panic("a planted bug") } }, ``, true},
		"the terminal, at its end":  {func(_ *runner, w *badWriter, _ *execution) { w.at, w.times = "done", 1 }, `bad.works()`, true},
		"the terminal, of failures": {func(_ *runner, w *badWriter, _ *execution) { w.at, w.times = "error:", 1 }, `error("x")`, false},
		"the terminal, all along":   {func(_ *runner, w *badWriter, _ *execution) { w.at, w.times = "info", 9 }, `log("a") log("b") log("c") error("x")`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			recipe := filepath.Join(dir, "r.lua")
			if err := os.WriteFile(recipe, []byte("defer('back', function() bad.works() end)\nlog('begun')\n"+tc.after), 0o644); err != nil {
				t.Fatal(err)
			}
			undone := 0
			out := &badWriter{}
			c := newRunner(&invocation{env: Env{Stdout: out, Stderr: out, Getenv: func(name string) string { return map[string]string{"KEY": "hunter2hunter2"}[name] }}, abort: t.Context()})
			c.flags.groups() // the defaults
			c.flags.State, c.flags.Secrets, c.recipe = filepath.Join(dir, "state"), []string{"key=env:KEY"}, recipe
			c.env.Modules = []runtime.Module{badModule(&undone)}
			world := servers.Live(c.servers())
			defer world.Close()
			x := execution{name: recipe, opts: runtime.RunOptions{Abort: c.abort}}
			if tc.plant != nil {
				tc.plant(c, out, &x)
			}
			err := c.execute(t.Context(), world, x)

			if c.exitCode(err) != 70 {
				t.Errorf("exit %d: %v", c.exitCode(err), err)
			}
			if !tc.good && undone != 1 {
				t.Errorf("undone %d times", undone)
			}
			ended, _ := filepath.Glob(filepath.Join(dir, "state", "runs", "*.jsonl"))
			if len(ended) != 1 {
				t.Fatalf("the journal has no end: %q", ended)
			}
			bugs, _ := filepath.Glob(filepath.Join(dir, "state", "bugs", "*.txt"))
			if len(bugs) != 1 || !strings.Contains(out.String(), bugs[0]) {
				t.Fatalf("reports: %q\n%s", bugs, out.String())
			}
			text, readErr := os.ReadFile(bugs[0])
			for _, part := range []string{"a planted bug", "mepc-run ", "goroutine ", "bugs_test.go:"} {
				if !strings.Contains(string(text), part) && (part != "a planted bug" || name != "an error without words") {
					t.Errorf("%v: no %q in\n%s", readErr, part, text)
				}
			}
			if name == "a module's function" && !strings.Contains(string(text), "r.lua:3") {
				t.Errorf("it does not name the line:\n%s", text)
			}
			journal, _ := os.ReadFile(ended[0])
			for where, text := range map[string]string{"report": string(text), "journal": string(journal), "output": out.String()} {
				if strings.Contains(text, "hunter2") {
					t.Errorf("the secret is in the %s", where)
				}
			}
		})
	}
}

func badModule(undone *int) runtime.Module {
	type none = runtime.None
	type secret struct {
		Text string `lua:"text,pos,required,secret"`
	}
	return runtime.Module{
		Name: "bad", Doc: "For tests.", Self: undone,
		Funcs: []runtime.Func{
			{Name: "panics", Doc: "A bug.", Call: runtime.Inline(func(_ *int, _ *runtime.Call, a *secret) (none, error) {
				panic("a planted bug: " + a.Text)
			})},
			{Name: "fails", Class: runtime.Write, Doc: "A bug.", Call: runtime.Effect(func(*int, context.Context, *none) (none, error) {
				return none{}, errors.Join(badError{})
			})},
			{Name: "works", Class: runtime.Write, Doc: "Works.", Call: runtime.Effect(func(n *int, _ context.Context, _ *none) (none, error) {
				*n++
				return none{}, nil
			})},
		},
	}
}
