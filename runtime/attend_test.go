package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/runtime"
)

// errorObjects are values that do something when they are shown.
var errorObjects = map[string]struct{ src, says string }{
	"raises":          {`setmetatable({code=7}, {__tostring=function(s) return "code " .. s.kode end})`, "concatenate field 'kode'"},
	"raises itself":   {`setmetatable({code=7}, {__tostring=function(s) error(s) end})`, "__tostring failed"},
	"pcalls":          {`setmetatable({}, {__tostring=function() return tostring(pcall(error, "x")) end})`, "false"},
	"pcalls and ends": {`setmetatable({code=7}, {__tostring=function() while true do pcall(error, "x") end end})`, "code = 7"},
	"sleeps":          {`setmetatable({code=7}, {__tostring=function() sleep("1h") return "late" end})`, "cannot wait"},
	"yields":          {`setmetatable({code=7}, {__tostring=function() coroutine.yield() return "x" end})`, "attempt to yield"},
	"calls a server":  {`setmetatable({code=7}, {__tostring=function() probe.call("x") return "x" end})`, "cannot wait or call a server"},
	"goes parallel":   {`setmetatable({code=7}, {__tostring=function() parallel{function() end} return "x" end})`, "cannot wait"},
	"recurses":        {`setmetatable({code=7}, {__tostring=function(s) return "x" .. tostring(s) end})`, "stack overflow"},
	"recurses by try": {`setmetatable({code=7}, {__tostring=function(s) local _, e = try(error, s) return e.message end})`, "table value"},
	"loops":           {`setmetatable({code=7}, {__tostring=function() while true do end end})`, "100000 steps"},
	"returns a table": {`setmetatable({code=7}, {__tostring=function() return {} end})`, "it returned a table value"},
	"is long":         {`setmetatable({}, {__tostring=function() return ("x"):rep(2^20) end})`, "(1048576 bytes in all)"},
	"is no function":  {`setmetatable({code=7}, {__tostring=7})`, "object"},
	"indexes itself":  {`setmetatable({}, {__index=function(t, k) return t[k] end})`, "a table without a message"},
	"callable":        {`setmetatable({code=7}, {__call=function() while true do end end})`, "code = 7"},
	"inside itself":   {`(function() local t = {code=7} t.me = t t[t] = t return t end)()`, "the table itself"},
	"shared":          {`(function() local t = {1} for i = 1, 40 do t = {t, t} end return t end)()`, "without a message"},
	"a long text":     {`("x"):rep(16*2^20)`, "(16777"},
	"a thread":        {`coroutine.create(function() end)`, "thread value"},
	"an object":       {`defer("one more", function() end)`, "compensation"},
	"a frozen table":  {`string`, "without a message"},
	"nil":             {`nil`, "nil value"},
	"a module":        {`probe`, "without a message"},
	"equal, less, gc": {`setmetatable({}, {__eq=error, __lt=error, __gc=error, __len=error, __concat=error, __unm=error})`, "without a message"},
}

// TestNoErrorObjectKeepsCompensationsFromRunning raises each of them, after
// something was done that is to be undone.
func TestNoErrorObjectKeepsCompensationsFromRunning(t *testing.T) {
	t.Parallel()
	for i, how := range []string{
		`error(%s)`, `coroutine.wrap(function() error(%s) end)()`, `step("s", function() error(%s) end)`, `parallel{function() error(%s) end}`,
		`retry(function() error(%s) end, {attempts=2, delay=0})`, `local _, e = try(function() error(%s) end) error(e)`,
	} {
		for j, name := range slices.Sorted(maps.Keys(errorObjects)) {
			if i > 0 && (i+j)%4 != 0 {
				continue // each way with some of them is enough
			}
			object := errorObjects[name]
			src := `probe.call("a") defer("put it back", function(e) probe.call("undone") return e.message end)` + "\n" + fmt.Sprintf(how, object.src)
			_, p, err := run(t, src, runtime.RunOptions{Clock: clock.NewVirtual(time.Unix(0, 0))})
			e := failure.As(err)
			if e == nil || e.Kind != failure.Script {
				t.Errorf("%s, %s: %v", how, name, err)
				continue
			}
			if last := p.calls[len(p.calls)-1]; !strings.HasPrefix(last, "undone") {
				t.Errorf("%s, %s: the compensation did not run: %s", how, name, p.calls)
			}
			if !strings.Contains(e.Message, object.says) || len(e.Message) > 20_000 {
				t.Errorf("%s, %s: %.300s, want %s", how, name, e.Message, object.says)
			}
			if !strings.Contains(e.Where, ":2") && !strings.Contains(e.Message, ":2") && len(e.Trace) == 0 {
				t.Errorf("%s, %s: it does not name the line: %q %q", how, name, e.Where, e.Trace)
			}
		}
	}
}

// unseen is a flag of which the race detector knows nothing: who waits for it does
// not see, by that, what was done before.
type unseen bool

//go:norace
func (u *unseen) set() { *u = true }

//go:norace
func (u *unseen) get() bool { return bool(*u) }

// hung is a module whose functions do not look at their context. Each says that it
// has begun.
func hung(begun func(), release chan struct{}) runtime.Module {
	hang := func() { begun(); <-release }
	return runtime.Module{
		Name: "hung", Doc: "For tests.", Self: &probe{},
		Funcs: []runtime.Func{
			{Name: "inline", Doc: "Holds the baton.", Call: runtime.Inline(func(*probe, *runtime.Call, *runtime.None) (runtime.None, error) {
				hang()
				return runtime.None{}, nil
			})},
			{Name: "effect", Class: runtime.Write, Doc: "Waits.", Call: runtime.Effect(func(*probe, context.Context, *runtime.None) (runtime.None, error) {
				hang()
				return runtime.None{}, nil
			})},
		},
	}
}

// TestWhatDoesNotStopIsAbandoned hangs in Go code, under both kinds of clock. What
// was deferred before runs all the same, and what hangs there is abandoned, too. In
// the end all that hung goes on, and shares nothing with what came after it.
func TestWhatDoesNotStopIsAbandoned(t *testing.T) {
	t.Parallel()
	for i, src := range []string{
		`hung.inline()`, `parallel{function() sleep("1h") end, hung.inline}`,
		`hung.effect()`, `parallel{hung.inline, hung.effect}`, `coroutine.wrap(function() pcall(hung.inline) end)()`, `pcall(pcall, hung.inline)`,
	} {
		for _, c := range []clock.Clock{clock.Wall{}, clock.NewVirtual(time.Unix(0, 0))}[:2-min(i/2, 1)] {
			t.Run(fmt.Sprintf("%s %T", src, c), func(t *testing.T) {
				t.Parallel()
				var done []string
				ctx, stop := context.WithCancelCause(t.Context())
				abort, end := context.WithCancelCause(t.Context())
				release := make(chan struct{})
				var hangs unseen
				begun := func() { // first in the recipe, then in the compensation
					if hangs.get() {
						end(failure.New(failure.Cancelled, "enough"))
					}
					hangs.set()
				}
				go func() {
					for !hangs.get() {
						time.Sleep(time.Millisecond)
					}
					stop(failure.New(failure.Timeout, "time is up"))
				}()
				host := runtime.New(runtime.Options{Modules: append(std.Modules(std.Options{}), hung(begun, release))})
				recipe, err := host.LoadString("t.lua", `
defer("first", function() local n = 0 for i = 1, 1000 do n = n + i end log("first " .. n) end)
defer("hangs", function() step("deeper", function() hung.inline() end) end)
local n = 0
defer("last", function() for i = 1, 1000 do n = n + i end log("last " .. n) end)
`+src)
				if err != nil {
					t.Fatal(err)
				}
				_, err = host.Run(ctx, recipe, runtime.RunOptions{Clock: c, Grace: time.Second, Abort: abort, Sinks: []runtime.Sink{sinkFunc(func(ev runtime.Event) {
					if ev.Log != nil {
						done = append(done, ev.Log.Text)
					}
				})}})
				close(release)
				e := failure.As(err)
				if e == nil || e.Kind != failure.Timeout || !strings.Contains(e.Message, "time is up; a function of mepc-run did not stop") {
					t.Errorf("%v", err)
				}
				if e != nil && !strings.Contains(e.Stack, "goroutine ") {
					t.Errorf("it does not say where it hangs: %s", e.Stack)
				}
				if len(done) == 0 || done[0] != "last 500500" {
					t.Errorf("compensations: %q", done)
				}
				if e != nil && (!strings.Contains(e.State, "hangs NOT FINISHED") || !strings.Contains(e.State, "first NOT DONE")) {
					t.Errorf("state: %s", e.State)
				}
			})
		}
	}
}

// endPanics is a guard that fails at the end of a run.
type endPanics struct{}

func (endPanics) Allow(context.Context, *runtime.Op) error { return nil }
func (endPanics) End(context.Context) error                { panic("a bug") }

func TestAPanicAfterTheRecipeUndoesWhatItDid(t *testing.T) {
	t.Parallel()
	_, p, err := run(t, `probe.call("a") defer("back", function() probe.call("undone") end)`, runtime.RunOptions{Guards: []runtime.Guard{endPanics{}}})
	if failure.KindOf(err) != failure.Internal || len(p.calls) != 2 || !strings.Contains(failure.As(err).Stack, "bug.go") {
		t.Errorf("%v, %q", err, p.calls)
	}
}

func TestACompensationCanDefer(t *testing.T) {
	t.Parallel()
	_, p, err := run(t, `
defer("outer", function() probe.call("outer") defer("inner", function() probe.call("inner") end) end)
error("x")`, runtime.RunOptions{})
	if err == nil || len(p.calls) != 2 || !strings.HasPrefix(p.calls[1], "inner") || !strings.Contains(failure.As(err).State, "outer: done\ninner: done") {
		t.Errorf("%v, %q", err, p.calls)
	}
	_, _, err = run(t, `local function again() defer("again", again) end again() error("x")`, runtime.RunOptions{Clock: clock.NewVirtual(time.Unix(0, 0))})
	if e := failure.As(err); e == nil || !strings.Contains(e.State, "more than") {
		t.Error(err)
	}
}

func TestALostWriteOfAModuleIsUnknown(t *testing.T) {
	t.Parallel()
	var outcome effect.Outcome
	host := runtime.New(runtime.Options{Modules: []runtime.Module{{
		Name: "m", Doc: "For tests.", Self: &probe{},
		Funcs: []runtime.Func{{Name: "f", Class: runtime.Write, Doc: "Fails.", Call: runtime.Effect(func(*probe, context.Context, *runtime.None) (runtime.None, error) {
			return runtime.None{}, errors.New("EOF")
		})}},
	}}})
	recipe, err := host.LoadString("t.lua", `m.f()`)
	if err != nil {
		t.Fatal(err)
	}
	res, err := host.Run(t.Context(), recipe, runtime.RunOptions{Sinks: []runtime.Sink{sinkFunc(func(ev runtime.Event) {
		if ev.Result != nil {
			outcome = ev.Result.Outcome
		}
	})}})
	if failure.KindOf(err) != failure.Unknown || outcome != effect.Unknown || res.Effects != 1 {
		t.Errorf("%v, %s, %d", err, outcome, res.Effects)
	}
}
