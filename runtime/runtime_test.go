package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/runtime"
)

// probe is a module with one function for each shape of argument.
type probe struct{ calls []string }

type probeArgs struct {
	Name    string            `lua:"name,pos,required,target" doc:"a name"`
	Count   int               `lua:"count" default:"3" min:"1" max:"9" doc:"an integer"`
	Share   float64           `lua:"share" doc:"a number"`
	Wait    time.Duration     `lua:"wait" default:"2s" doc:"a duration"`
	Memory  runtime.Size      `lua:"memory" doc:"a size"`
	Fast    bool              `lua:"fast" doc:"a boolean"`
	Mode    string            `lua:"mode" enum:"soft|hard" doc:"an enum"`
	Words   []string          `lua:"words" doc:"a list"`
	Env     map[string]string `lua:"env,secret" doc:"a table"`
	Sub     *subArgs          `lua:"sub" doc:"a table with fields"`
	Buddy   *thing            `lua:"buddy" doc:"an object"`
	Payload runtime.Value     `lua:"payload" doc:"anything"`
	Body    runtime.Value     `lua:"body,secret" doc:"anything, secrets too"`
}

type subArgs struct {
	Port int    `lua:"port,required" min:"1" doc:"a port"`
	Path string `lua:"path" default:"/" doc:"a path"`
}

type thing struct{ name string }

func (t *thing) String() string { return "thing " + t.name }

func (p *probe) call(_ context.Context, a *probeArgs) (*thing, error) {
	p.calls = append(p.calls, fmt.Sprintf("%s %d %v %s %d %v %s %q %d", a.Name, a.Count, a.Share, a.Wait, a.Memory, a.Fast, a.Mode, a.Words, len(a.Env)))
	switch a.Name {
	case "gone":
		return nil, failure.New(failure.NotFound, "No such thing: gone").WithHint("look for it")
	case "bug":
		panic("nil map")
	case "nothing":
		return nil, nil
	}
	return &thing{a.Name}, nil
}

func newHost(t *testing.T) (*runtime.Host, *probe) {
	t.Helper()
	p := &probe{}
	m := runtime.Module{
		Name: "probe", Doc: "For tests.", Self: p,
		Funcs: []runtime.Func{
			{Name: "call", Class: runtime.Write, Doc: "Takes everything.", Call: runtime.Effect((*probe).call)},
			{Name: "look", Class: runtime.Read, Doc: "Looks.", Call: runtime.Effect(func(*probe, context.Context, *runtime.None) (int64, error) {
				return 1<<53 + 2, nil
			})},
		},
		Types: []runtime.Type{{
			Name: "probe.thing", Doc: "A thing.", Of: (*thing)(nil),
			Funcs: []runtime.Func{{
				Name: "name", Doc: "Its name.",
				Call: runtime.Inline(func(t *thing, _ *runtime.Call, _ *runtime.None) (string, error) { return t.name, nil }),
			}},
		}},
	}
	library := fstest.MapFS{
		"lib/good.lua":   {Data: []byte("return {answer = 42}")},
		"lib/broken.lua": {Data: []byte("error('kaput')")},
		"lib/a.lua":      {Data: []byte("return require('lib.b')")},
		"lib/b.lua":      {Data: []byte("return require('lib.a')")},
		"lib/syntax.lua": {Data: []byte("local x = = 1")},
	}
	return runtime.New(runtime.Options{
		Library: library, Limits: runtime.Limits{Steps: 1_000_000}, Modules: append(stdModules(), m),
	}), p
}

func stdModules() []runtime.Module {
	return std.Modules(std.Options{
		Env: map[string]string{"REGION": "eu"},
		Secrets: map[string]func() (string, error){
			"password": func() (string, error) { return "correct horse", nil },
		},
		Routers: []string{"http://127.0.0.1:8080"},
	})
}

func run(t *testing.T, src string, opts runtime.RunOptions) (*runtime.Result, *probe, error) {
	t.Helper()
	host, p := newHost(t)
	recipe, err := host.LoadString("recipe.lua", src)
	if err != nil {
		return nil, p, err
	}
	res, err := host.Run(t.Context(), recipe, opts)
	return res, p, err
}

func TestArgumentsArriveDecodedWithTheirDefaults(t *testing.T) {
	for src, want := range map[string]string{
		`probe.call("a")`: `a 3 0 2s 0 false  [] 0`,
		`probe.call("a", {count=9, share=0.5, wait="1m30s", memory="512MB", fast=true, mode="hard", words={"x","y"}, env={A=1, B="2"}})`: `a 9 0.5 1m30s 512000000 true hard ["x" "y"] 2`,
		`probe.call(7, {wait=0.25, memory="1MiB", sub={port=80}})`:                                                                       `7 3 0 250ms 1048576 false  [] 0`,
		`probe.call("a", {buddy=probe.call("b"), payload={1,{x=2}}})`:                                                                    `a 3 0 2s 0 false  [] 0`,
		`probe.call("a", {env={PASSWORD=secret("password")}})`:                                                                           `a 3 0 2s 0 false  [] 1`,
	} {
		_, p, err := run(t, src, runtime.RunOptions{})
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got := p.calls[len(p.calls)-1]; got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", src, got, want)
		}
	}
}

func TestWrongArgumentsAreRefusedByNameBeforeAnythingIsCalled(t *testing.T) {
	for src, want := range map[string]string{
		`probe.call()`:                                      `probe.call: name: string expected, got nothing`,
		`probe.call(true)`:                                  `probe.call: name: string expected, got boolean`,
		`probe.call("a", "b")`:                              `probe.call: a table of options expected as argument 2, got string`,
		`probe.call("a", {}, 1)`:                            `probe.call: takes 2 arguments, got 3`,
		`probe.call("a", {cuont=1})`:                        `probe.call: unknown option "cuont"; did you mean "count"?`,
		`probe.call("a", {count=1.5})`:                      `probe.call: count: integer expected, got 1.5`,
		`probe.call("a", {count=10})`:                       `probe.call: count: 10 is above the most allowed, 9`,
		`probe.call("a", {count=0})`:                        `probe.call: count: 0 is below the least allowed, 1`,
		`probe.call("a", {count="3"})`:                      `probe.call: count: integer expected, got string`,
		`probe.call("a", {share=0/0})`:                      `probe.call: share: not a number`,
		`probe.call("a", {wait="soon"})`:                    `probe.call: wait: "soon" is not a duration: write 2s, 1m30s, 250ms, or a number of seconds`,
		`probe.call("a", {wait=-1})`:                        `probe.call: wait: -1 seconds is not a duration`,
		`probe.call("a", {memory="lots"})`:                  `probe.call: memory: "lots" is not a size: write 512MB, 512MiB, or a number of bytes`,
		`probe.call("a", {fast=1})`:                         `probe.call: fast: boolean expected, got number`,
		`probe.call("a", {mode="hrad"})`:                    `probe.call: mode: "hrad" is not one of soft, hard; did you mean "hard"?`,
		`probe.call("a", {words="x"})`:                      `probe.call: words: list of strings expected, got string`,
		`probe.call("a", {words={x=1}})`:                    `probe.call: words: list of strings expected, got a table whose keys are not 1, 2, 3 and so on`,
		`probe.call("a", {words={"x", true}})`:              `probe.call: words[2]: string expected, got boolean`,
		`probe.call("a", {words={[8080]="x"}})`:             `probe.call: words: list of strings expected, got a table whose keys are not 1, 2, 3 and so on`,
		`probe.call("a", {env={"x"}})`:                      `probe.call: env: table of strings expected, got a list`,
		`probe.call("a", {sub={}})`:                         `probe.call: sub.port: integer expected, got nothing`,
		`probe.call("a", {sub={port=1, prt=2}})`:            `probe.call: sub: unknown option "prt"; did you mean "port"?`,
		`probe.call("a", {buddy="b"})`:                      `probe.call: buddy: probe.thing expected, got string`,
		`probe.call("a", {payload=print})`:                  `probe.call: payload: function is not a plain value`,
		`probe.call("a", {words={secret("password")}})`:     `probe.call: words[1]: a secret is not taken here: it would be seen`,
		`local t = {} t.t = t probe.call("a", {payload=t})`: `probe.call: payload: table nested deeper than 64, or inside itself`,
		`probe.cal("a")`:                                    `probe: probe has no function "cal"; did you mean "call"?`,
		`probe.call = nil`:                                  `probe: probe cannot be changed`,
		`probe.call("x"):nmae()`:                            `probe.thing: probe.thing has no method "nmae"; did you mean "name"?`,
		`probe.call("x").name()`:                            `probe.name: called without its probe.thing`,
		`probe.call("x").name = 1`:                          `probe.thing: probe.thing objects have no fields to set`,
	} {
		_, p, err := run(t, src, runtime.RunOptions{})
		if err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", src, err, want)
			continue
		}
		if kind := failure.KindOf(err); kind != failure.Invalid {
			t.Errorf("%s: kind %s", src, kind)
		}
		if len(p.calls) > 0 && !strings.Contains(src, `"x")`) {
			t.Errorf("%s: called %v", src, p.calls)
		}
	}
}

func TestResultsBecomePlainLuaValues(t *testing.T) {
	res, _, err := run(t, `
		assert(probe.look() == "9007199254740994")       -- beyond 2^53: exact, as a string
		assert(probe.call("nothing") == nil)
		local b = probe.call("b")
		assert(b:name() == "b" and tostring(b) == "thing b")
		return {ok = true, list = {1, 2}}`, runtime.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"ok": true, "list": []any{1.0, 2.0}}
	if diff := cmp.Diff(want, res.Value); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsCarryKindPositionExcerptAndTrace(t *testing.T) {
	_, _, err := run(t, "local function go()\n  probe.call('gone')\nend\ngo()\n", runtime.RunOptions{})
	e := failure.As(err)
	if e == nil {
		t.Fatalf("err = %v", err)
	}
	if e.Kind != failure.NotFound || e.Where != "recipe.lua:2" || e.Op != "probe.call" || e.Target != "gone" || e.Hint != "look for it" {
		t.Errorf("error = %+v", e)
	}
	wantExcerpt := "     1 | local function go()\n>    2 |   probe.call('gone')\n     3 | end"
	if diff := cmp.Diff(wantExcerpt, e.Excerpt); diff != "" {
		t.Error(diff)
	}
	if len(e.Trace) < 2 || !strings.HasPrefix(e.Trace[0], "recipe.lua:2") || !strings.HasPrefix(e.Trace[len(e.Trace)-1], "recipe.lua:4") {
		t.Errorf("trace = %q", e.Trace)
	}
}

func TestEveryWayOfFailingHasItsKindAndLine(t *testing.T) {
	for src, want := range map[string]struct {
		kind  failure.Kind
		where string
		text  string
	}{
		"local x = = 1":                           {failure.Syntax, "recipe.lua:1", "unexpected symbol near '='"},
		"local a = 1\nlocal s = a.b.c":            {failure.Script, "recipe.lua:2", "attempt to index"},
		"\nundefined_name()":                      {failure.Script, "recipe.lua:2", "undefined_name"},
		"error('kaput')":                          {failure.Script, "recipe.lua:1", "kaput"},
		"error({message='m', kind='conflict'})":   {failure.Conflict, "recipe.lua:1", "m"},
		"error({message='m', kind='internal'})":   {failure.Script, "recipe.lua:1", "m"},
		"error({message='m', hint='h'})":          {failure.Script, "recipe.lua:1", "m"},
		"fail('no', {kind='conflict'})":           {failure.Conflict, "recipe.lua:1", "no"},
		"\n\nwhile true do end":                   {failure.Limit, "recipe.lua:3", "steps"},
		"probe.call('bug')":                       {failure.Internal, "recipe.lua:1", "nil map"},
		"pcall(probe.call, 'bug')":                {failure.Internal, "", "nil map"},
		"require('lib.broken')":                   {failure.Script, "lib/broken.lua:1", "kaput"},
		"require('lib.a')":                        {failure.Script, "lib/b.lua:1", "lib/a.lua -> lib/b.lua -> lib/a.lua"},
		"require('lib.none')":                     {failure.NotFound, "recipe.lua:1", "no file lib/none.lua"},
		"require('lib.syntax')":                   {failure.Syntax, "lib/syntax.lua:1", "near"},
		"require('../etc/passwd')":                {failure.Invalid, "recipe.lua:1", "not a name of a file"},
		"env('HOME')":                             {failure.Denied, "recipe.lua:1", "--env HOME"},
		"secret('pasword')":                       {failure.Denied, "recipe.lua:1", `did you mean "password"?`},
		"probe.look() params{}":                   {failure.Denied, "recipe.lua:1", "before params{}"},
		"params{} params{}":                       {failure.Script, "recipe.lua:1", "second time"},
		"params{a={type='strin'}}":                {failure.Invalid, "recipe.lua:1", `did you mean "string"?`},
		"params{a={default=print}}":               {failure.Invalid, "recipe.lua:1", "not a plain value"},
		"params{a={type='integer', default='x'}}": {failure.Invalid, "recipe.lua:1", "a: default: integer expected"},
	} {
		host, _ := newHost(t)
		recipe, err := host.LoadString("recipe.lua", src)
		if err == nil {
			_, err = host.Run(t.Context(), recipe, runtime.RunOptions{})
		}
		e := failure.As(err)
		if e == nil {
			t.Errorf("%q: %v", src, err)
			continue
		}
		text := e.Message + " " + e.Hint
		if e.Kind != want.kind || want.where != "" && e.Where != want.where || !strings.Contains(text, want.text) {
			t.Errorf("%q:\ngot  %s at %s: %s\nwant %s at %s: %s", src, e.Kind, e.Where, text, want.kind, want.where, want.text)
		}
	}
}

func TestTryHandsOverErrorsButNotLimitsOrInterrupts(t *testing.T) {
	_, _, err := run(t, `
		local v, e = try(probe.call, "gone")
		assert(v == nil and e.kind == "not_found" and e.target == "gone" and e.op == "probe.call" and e.where == "recipe.lua:2")
		assert(tostring(e) == "recipe.lua:2: probe.call gone: No such thing: gone", tostring(e))
		assert("x: " .. e == "x: " .. tostring(e))
		local ok, same = pcall(error, e)
		assert(not ok and same == e)
		local v2, e2 = try(function() return 5 end)
		assert(v2 == 5 and e2 == nil)
		local _, e3 = try(function() local x = nil; return x.y end)
		assert(e3.kind == "script" and e3.where == "recipe.lua:10", e3.where)
		error(e)`, runtime.RunOptions{})
	if e := failure.As(err); e == nil || e.Kind != failure.NotFound || e.Where != "recipe.lua:2" {
		t.Errorf("rethrown: %+v", err)
	}
	_, _, err = run(t, `try(function() while true do end end)`, runtime.RunOptions{})
	if failure.KindOf(err) != failure.Limit {
		t.Errorf("a limit inside try: %v", err)
	}
	_, _, err = run(t, `while true do try(sleep, 1) end`, runtime.RunOptions{Timeout: 20 * time.Millisecond})
	if failure.KindOf(err) != failure.Timeout {
		t.Errorf("a timeout inside try: %v", err)
	}
}

func TestCompensationsRunNewestFirstAfterAnyFailure(t *testing.T) {
	const body = `
		local undo = defer("never", function() probe.call("never") end)
		undo:cancel()
		defer("first", function(err) probe.call("first") return "first is undone after " .. err.kind end)
		defer("second", function() probe.call("second") end)
		defer("broken", function() error("cannot") end)
		defer("both", function() probe.call("both") end, {on = "always"})
	`
	for name, tc := range map[string]struct {
		end   string
		kind  failure.Kind
		calls string
	}{
		"error":     {`error("x")`, failure.Script, "both second first"},
		"limit":     {`while true do end`, failure.Limit, "both second first"},
		"interrupt": {`sleep(60)`, failure.Timeout, "both second first"},
		"success":   {``, "", "both"},
	} {
		t.Run(name, func(t *testing.T) {
			_, p, err := run(t, body+tc.end, runtime.RunOptions{Clock: clock.NewVirtual(time.Unix(0, 0)), Timeout: 2 * time.Second})
			if tc.kind == "" && err != nil || tc.kind != "" && failure.KindOf(err) != tc.kind {
				t.Errorf("err = %v", err)
			}
			var names []string
			for _, c := range p.calls {
				names = append(names, strings.Fields(c)[0])
			}
			if got := strings.Join(names, " "); got != tc.calls {
				t.Errorf("undone: %s, want %s", got, tc.calls)
			}
			if err != nil {
				want := "broken FAILED: cannot\nsecond: done\nfirst is undone after " + string(tc.kind)
				if got := failure.As(err).State; !strings.HasSuffix(got, want) {
					t.Errorf("state = %q", got)
				}
			}
		})
	}
}

func TestATimeoutThenAGrace(t *testing.T) {
	_, p, err := run(t, `
		defer("third", function() probe.call("third") end)
		defer("second", function() probe.call("second") sleep("1h") probe.call("later") end)
		defer("first", function() sleep("199ms") probe.call("first") end)
		sleep("99ms") probe.call("in time") sleep("1h")`,
		runtime.RunOptions{Clock: clock.NewVirtual(time.Unix(0, 0)), Timeout: 100 * time.Millisecond, Grace: 200 * time.Millisecond})
	e := failure.As(err)
	if e == nil || e.Kind != failure.Timeout || e.Op != "sleep" || e.Message != "the run took longer than 100ms" || e.Where != "recipe.lua:5" {
		t.Fatalf("%#v", err)
	}
	var names []string
	for _, c := range p.calls {
		name, _, _ := strings.Cut(c, " 3 ")
		names = append(names, name)
	}
	if got := strings.Join(names, ", "); got != "in time, first, second" {
		t.Errorf("calls: %s", got)
	}
	const undoing = "undoing took longer than 200ms"
	if want := "first: done\nsecond NOT FINISHED: sleep: " + undoing + "\nthird NOT DONE: " + undoing; e.State != want {
		t.Errorf("state = %q, want %q", e.State, want)
	}
	if !strings.Contains(e.Hint, "see to what FAILED") {
		t.Errorf("hint = %q", e.Hint)
	}
}

func TestParametersAreCheckedBeforeAnythingHappens(t *testing.T) {
	const src = `
local p = params{
  image = {required=true, doc="what to deploy"},
  port = {type="integer", default=8080, min=1, max=65535},
  share = {type="number"}, drain = {type="duration", default="2s"}, memory = {type="size"},
  fast = {type="boolean", default=false}, mode = {type="enum", values={"soft", "hard"}},
  links = {type="list", default={}}, password = {type="secret"},
}
probe.call(p.image)
return {p.port, p.drain, p.fast, #p.links, p.share or "none", tostring(p.password), p.memory or 0}`
	for name, tc := range map[string]struct {
		given map[string]any
		want  any
		err   string
	}{
		"defaults": {map[string]any{"image": "a"}, []any{8080.0, 2.0, false, 0.0, "none", "nil", 0.0}, ""},
		"all from text": {map[string]any{
			"image": "a", "port": "80", "share": "0.5", "drain": "1m", "memory": "1MiB", "fast": "yes",
			"mode": "hard", "links": "db:db, cache:cache", "password": "hunter22",
		}, []any{80.0, 60.0, true, 2.0, 0.5, "[secret]", 1048576.0}, ""},
		"missing":        {map[string]any{}, nil, `the parameter image is missing`},
		"unknown":        {map[string]any{"image": "a", "prot": "1"}, nil, `the recipe takes no parameter "prot"; did you mean "port"?`},
		"not an integer": {map[string]any{"image": "a", "port": "8o"}, nil, `the parameter port: integer expected, got "8o"`},
		"out of range":   {map[string]any{"image": "a", "port": "70000"}, nil, `the parameter port: 70000 is above the most allowed, 65535`},
		"wrong enum":     {map[string]any{"image": "a", "mode": "sofd"}, nil, `the parameter mode: "sofd" is not one of soft, hard; did you mean "soft"?`},
		"wrong boolean":  {map[string]any{"image": "a", "fast": "maybe"}, nil, `the parameter fast: boolean expected (true or false), got "maybe"`},
		"wrong duration": {map[string]any{"image": "a", "drain": "long"}, nil, `the parameter drain: "long" is not a duration: write 2s, 1m30s, 250ms, or a number of seconds`},
		"wrong size":     {map[string]any{"image": "a", "memory": "big"}, nil, `the parameter memory: "big" is not a size: write 512MB, 512MiB, or a number of bytes`},
	} {
		t.Run(name, func(t *testing.T) {
			res, p, err := run(t, src, runtime.RunOptions{Params: tc.given})
			if tc.err != "" {
				if err == nil || failure.As(err).Message != tc.err || failure.KindOf(err) != failure.Invalid || len(p.calls) > 0 {
					t.Fatalf("err = %v, calls %v", err, p.calls)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, res.Value); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNothingIsDoneBeforeParamsAndNothingUndone(t *testing.T) {
	for src, want := range map[string]string{
		`try(function() probe.call("a") end) params{}`:                                            "",
		`defer("undo", function() probe.call("b") end) probe.call("a") params{}`:                  "it comes before params{}",
		`defer("undo", function() probe.call("b") end) try(function() params{x={}} end)`:          `the recipe takes no parameter "y"`,
		`if false then params{} end defer("undo", function() probe.call("b") end, {on="always"})`: `the recipe takes no parameter "y"`,
	} {
		_, p, err := run(t, src, runtime.RunOptions{Params: map[string]any{"y": "1"}})
		if want == "" {
			want = `the recipe takes no parameter "y"`
		}
		if err == nil || !strings.Contains(err.Error(), want) || len(p.calls) > 0 {
			t.Errorf("%s: err = %v, calls %v", src, err, p.calls)
		}
	}
}

func TestDescribeCallsNothing(t *testing.T) {
	host, p := newHost(t)
	recipe, err := host.LoadString("r.lua", "-- Deploys.\n--\n-- At length.\nlocal p = params{b={}, a={type='integer', min=1}}\nprobe.call('x')")
	if err != nil {
		t.Fatal(err)
	}
	if recipe.Doc != "Deploys.\n\nAt length." {
		t.Errorf("doc = %q", recipe.Doc)
	}
	declared, err := host.Describe(t.Context(), recipe, nil)
	if err != nil || len(p.calls) > 0 {
		t.Fatalf("err = %v, calls %v", err, p.calls)
	}
	one := 1.0
	want := []runtime.Param{{Name: "b", Type: "string"}, {Name: "a", Type: "integer", Min: &one}}
	if diff := cmp.Diff(want, declared); diff != "" {
		t.Error(diff)
	}
}

func TestSecretsAreNowhereToBeSeen(t *testing.T) {
	var seen strings.Builder
	sink := sinkFunc(func(ev runtime.Event) { fmt.Fprintf(&seen, "%+v %+v %+v %+v\n", ev.Op, ev.Result, ev.Step, ev.Log) })
	_, _, err := run(t, `
		local s = secret("password")
		print(s, tostring(s), "" .. tostring(s))
		log("about " .. tostring(s), {s = "x"})
		probe.call("a", {env = {PASSWORD = s}, body = {nested = {s}}})
		step("with correct horse", function() end)
		fail("the password is correct horse, in base64 Y29ycmVjdCBob3JzZQ==")`,
		runtime.RunOptions{Sinks: []runtime.Sink{sink}, Print: func(l string) { seen.WriteString(l) }})
	all := seen.String() + err.Error() + fmt.Sprintf("%+v", failure.As(err))
	for _, form := range []string{"correct horse", "Y29ycmVjdCBob3JzZQ"} {
		if strings.Contains(strings.ReplaceAll(all, failure.As(err).Excerpt, ""), form) {
			t.Errorf("%q can be seen in:\n%s", form, all)
		}
	}
	if !strings.Contains(all, "PASSWORD=[secret]") {
		t.Errorf("the argument is not shown as redacted:\n%s", all)
	}
}

type sinkFunc func(runtime.Event)

func (f sinkFunc) Event(ev runtime.Event) { f(ev) }

func TestStepsAndBranchesAreCarriedByTheCallsWithin(t *testing.T) {
	var ops []string
	sink := sinkFunc(func(ev runtime.Event) {
		if ev.Type == "op_end" {
			ops = append(ops, fmt.Sprintf("%s [%s] %s %s", ev.Op.Target, strings.Join(ev.Op.Scope, "/"), ev.Op.Branch, ev.Op.Where))
		}
	})
	res, _, err := run(t, `
		local out = step("outer", function()
			probe.call("one")
			return step("inner", function()
				parallel{function() probe.call("two") end}
				pcall(function() probe.call("three") end)
				return "done"
			end)
		end)
		probe.call("four")
		return out`, runtime.RunOptions{Sinks: []runtime.Sink{sink}})
	if err != nil || res.Value != "done" {
		t.Fatal(res.Value, err)
	}
	want := []string{
		"one [outer]  recipe.lua:3", "two [outer/inner] 1 recipe.lua:5",
		"three [outer/inner]  recipe.lua:6", "four []  recipe.lua:10",
	}
	if diff := cmp.Diff(want, ops); diff != "" {
		t.Error(diff)
	}
}

func TestARecipeReachesOnlyItsOwnTreeAndTheLibrary(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "secret.lua", "return 1")
	write(t, dir+"/recipes", "r.lua", "return require('lib.own') + require('lib.good').answer")
	write(t, dir+"/recipes/lib", "own.lua", "return 1")
	host, _ := newHost(t)
	recipe, err := host.LoadFile(dir + "/recipes/r.lua")
	if err != nil {
		t.Fatal(err)
	}
	res, err := host.Run(t.Context(), recipe, runtime.RunOptions{})
	if err != nil || res.Value != 43.0 {
		t.Fatal(res.Value, err)
	}
	link(t, dir+"/secret.lua", dir+"/recipes/lib/out.lua")
	write(t, dir+"/recipes", "out.lua", "return require('lib.out')")
	recipe, err = host.LoadFile(dir + "/recipes/out.lua")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = host.Run(t.Context(), recipe, runtime.RunOptions{}); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Errorf("a link out of the tree: %v", err)
	}
}

func TestFilesThatAreNoRecipesAreRefusedWithAReason(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "binary.lua", "\x1bLua\x00\x01")
	write(t, dir, "huge.lua", strings.Repeat("-- x\n", 16<<20/5))
	host, _ := newHost(t)
	for name, want := range map[string]string{
		dir + "/none.lua":   "no recipe ",
		dir:                 "is a directory",
		dir + "/binary.lua": "compiled chunk",
		dir + "/huge.lua":   "is larger than the 64 KiB",
		"/dev/zero":         "is not a regular file",
	} {
		if _, err := host.LoadFile(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnErrorOfAnotherGoTypeIsABug(t *testing.T) {
	m := runtime.Module{Name: "m", Self: 1, Funcs: []runtime.Func{{
		Name: "f", Class: runtime.Read,
		Call: runtime.Effect(func(int, context.Context, *runtime.None) (runtime.None, error) {
			return runtime.None{}, errors.New("plain")
		}),
	}}}
	host := runtime.New(runtime.Options{Modules: []runtime.Module{m}})
	recipe, _ := host.LoadString("r.lua", "m.f()")
	_, err := host.Run(t.Context(), recipe, runtime.RunOptions{})
	if failure.KindOf(err) != failure.Internal {
		t.Errorf("err = %v", err)
	}
}
