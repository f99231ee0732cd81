package runtime_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

type answer struct {
	Status int           `lua:"status" alias:"code"`
	Body   string        `lua:"body"`
	Ended  time.Time     `lua:"ended"`
	Value  runtime.Value `lua:"value"`
	Env    string        `lua:"env" with:"inspect"`
	In     inner         `lua:"inner"`
	Map    map[string]string
	Labels map[string]string `lua:"labels"`

	whole bool
}

type inner struct {
	Port int `lua:"port"`
}

func (a answer) Asked(string) bool { return a.whole }

type answerArgs struct {
	Inspect bool `lua:"inspect"`
}

func TestResultsHaveTheirFieldsAndNoOthers(t *testing.T) {
	m := runtime.Module{Name: "srv", Self: "self", Funcs: []runtime.Func{{
		Name: "get", Class: runtime.Read, Doc: "Asks.",
		Call: runtime.Effect(func(_ string, _ context.Context, a *answerArgs) (*answer, error) {
			return &answer{Status: 200, Env: "e", Labels: map[string]string{"a": "b"}, whole: a.Inspect}, nil
		}),
	}}}
	host := runtime.New(runtime.Options{Modules: []runtime.Module{m}})
	for src, want := range map[string]string{ // the error, and its hint
		`return r.status`:                             "",
		`return r.ended`:                              "",
		`return r.value`:                              "",
		`return r.labels.none`:                        "",
		`return rawget(r, "code")`:                    "",
		`r.own = 1 return r.own`:                      "",
		`for k in pairs(r) do assert(k ~= "env") end`: "",
		`for _ in ipairs(r) do error("one") end`:      "",
		`return srv.get{inspect = true}.env`:          "",
		`return setmetatable(r, {}).code`:             "",
		`return r.code`:                               `this result has no field "code"; did you mean "status"?`,
		`return r.staus`:                              `this result has no field "staus"; did you mean "status"?`,
		`return r.Body`:                               `this result has no field "Body"; did you mean "body"?`,
		`return r[1]`:                                 `this result has no field "1"`,
		`return r.inner.prot`:                         `this result has no field "prot"; did you mean "port"?`,
		`return r.env`:                                `the field "env" is not in this result; ask for it with inspect = true`,
	} {
		recipe, err := host.LoadString("t.lua", "local r = srv.get() "+src)
		if err != nil {
			t.Fatal(err)
		}
		_, err = host.Run(t.Context(), recipe, runtime.RunOptions{})
		e := failure.As(err)
		if want == "" && err != nil || want != "" && (e == nil || !strings.HasPrefix(e.Message+"; "+e.Hint, want) || e.Kind != failure.Invalid || e.Where != "t.lua:1") {
			t.Errorf("%s: %v", src, err)
		}
	}
}

func TestErrorsHaveTheirFieldsAndNoOthers(t *testing.T) {
	for src, want := range map[string]string{
		`return e.op`:                      "",
		`return e.hint, e.state, e.target`: "",
		`return e.details, e.where`:        "",
		`assert(e.retryable == false)`:     "",
		`e.mine = 1 return e.mine`:         "",
		`return rawget(e, "knd")`:          "",
		`return e.knd`:                     `an error has no field "knd"; did you mean "kind"?`,
		`return e.msg`:                     `an error has no field "msg"; did you mean "message"?`,
		`return e.Message`:                 `an error has no field "Message"; did you mean "message"?`,
		`return e[1]`:                      `an error has no field "1"`,
		`return e.code == 7`:               `an error has no field "code"; it has kind, message, op, target, hint, where, state, details, retryable`,
		`try(e.retyable)`:                  `an error has no field "retyable"; did you mean "retryable"?`,
	} {
		for _, caught := range []string{`local _, e = try(fail, "x") `, `local _, e = pcall(fail, "x") `, `local _, e = try(function() error({code = 7}) end) `} {
			_, _, err := run(t, caught+src, runtime.RunOptions{})
			e := failure.As(err)
			if want == "" && err != nil || want != "" && (e == nil || !strings.HasPrefix(e.Message+"; "+e.Hint, want) || e.Kind != failure.Invalid || e.Where != "recipe.lua:1") {
				t.Errorf("%s%s: %v", caught, src, err)
			}
		}
	}
	_, p, err := run(t, `defer("undo", function(e) probe.call(e.hint or "none") probe.call(e.knd) end) fail("x")`, runtime.RunOptions{})
	if e := failure.As(err); e == nil || e.Message != "x" || len(p.calls) != 1 || !strings.Contains(e.State, `did you mean "kind"?`) {
		t.Errorf("in a compensation: %+v, %q", err, p.calls)
	}
}
