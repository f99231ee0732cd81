package on_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/modules/on"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/runtime"
)

func hostOf() *runtime.Host {
	return runtime.New(runtime.Options{Modules: append(std.Modules(std.Options{}), on.New())})
}

// inspect returns what a recipe declares.
func inspect(t *testing.T, src string) ([]*on.Trigger, []runtime.Param, error) {
	t.Helper()
	host := hostOf()
	recipe, err := host.LoadString("r.lua", src)
	if err != nil {
		t.Fatal(err)
	}
	d, err := host.Inspect(t.Context(), recipe, nil)
	if err != nil {
		return nil, nil, err
	}
	triggers, err := on.Triggers(d)
	return triggers, d.Params, err
}

func TestWhatStartsARecipeIsReadWhenItIsLoaded(t *testing.T) {
	triggers, declared, err := inspect(t, `
on.webhook{secret = "hub", fields = {image = "push.0.tag"}, params = {host = "shop.example"}}
on.webhook()
on.image{name = "mepc/app", params = {host = "a"}}
on.archive{dir = "incoming", fields = {image = "name"}}
on.redis{stream = "deploys"}
on.redis{channel = "c"}
on.schedule{cron = "0 4 * * *", params = {image = "x", host = "b"}}
local p = params{image = {required = true}, host = {}}
fail(p.image)`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, tr := range triggers { // as a server is told of them
		data, err := json.Marshal(tr)
		if err != nil {
			t.Fatal(err)
		}
		triggers[i] = &on.Trigger{}
		if err := json.Unmarshal(data, triggers[i]); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tr, triggers[i]); d != "" {
			t.Error(d)
		}
		got = append(got, triggers[i].Where+" "+triggers[i].String())
	}
	want := []string{
		"r.lua:2 webhook signed with the secret hub", "r.lua:3 webhook", "r.lua:4 image mepc/app:*", "r.lua:5 archive incoming/*.tar",
		"r.lua:6 redis stream deploys, group mepc-run", "r.lua:7 redis channel c", "r.lua:8 schedule 0 4 * * * (UTC)",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	hook := map[string]any{"image": "top", "push": []any{map[string]any{"tag": "deep"}}, "token": "not declared"}
	for i, want := range []map[string]any{
		{"image": "deep", "host": "shop.example"},
		{"image": "top"},
		{"image": "mepc/app:1", "host": "a"},
		{"image": "app.tar"},
	} {
		event := []map[string]any{hook, hook, {"image": "mepc/app:1", "tag": "1"}, {"archive": "/in/app.tar", "name": "app.tar"}}[i]
		if d := cmp.Diff(want, triggers[i].Params(event, declared)); d != "" {
			t.Errorf("%s: %s", triggers[i], d)
		}
	}
}

func TestABadDeclarationIsAnErrorOfItsLine(t *testing.T) {
	for _, c := range []struct{ src, says string }{
		{`on.schedule{cron = "61 * * * *"}`, `cron: "61 * * * *"`},
		{`on.schedule{cron = "0 0 30 2 *"}`, "never comes"},
		{`on.schedule{cron = "TZ=x"}`, "the time zone stands in zone"},
		{`on.schedule{cron = "@daily", zone = "Mars/Base"}`, "no time zone"},
		{`on.image{name = "mepc/[app"}`, "no pattern"},
		{`on.archive{dir = "in", match = "a/*.tar"}`, "which have no /"},
		{`on.redis{}`, "a channel or a stream"},
		{`on.redis{channel = "a", group = "g"}`, "a channel has none"},
		{`on.image{name = "a"}`, "gives the parameter image, which params{} does not declare"},
		{`on.image{name = "a", fields = {host = "digest"}}`, "no field digest"},
		{`on.schedule{cron = "@daily", params = {hots = "x"}}`, `did you mean "host"`},
		{`on.schedule{cron = "@daily", params = {n = "x"}}`, "params.n: "},
		{`on.schedule{cron = "@daily", params = {n = 1}}`, "needs the parameter host"},
		{`on.webhook{fields = {n = "n"}}`, "needs the parameter host"},
	} {
		_, _, err := inspect(t, "\n"+c.src+"\nparams{host = {required = true}, n = {type = 'integer'}}")
		e, _ := err.(*runtime.Error)
		if e == nil || e.Where != "r.lua:2" || !strings.Contains(e.Error(), c.says) {
			t.Errorf("%s: %v", c.src, err)
		}
	}
}

func TestADeclarationThatWouldNotBeSeenIsRefused(t *testing.T) {
	host := hostOf()
	recipe, err := host.LoadString("r.lua", "params{}\non.webhook()")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := host.Run(t.Context(), recipe, runtime.RunOptions{}); err == nil || !strings.Contains(err.Error(), "comes after params{}") {
		t.Error(err)
	}
}

func TestSchedulesAcrossChangesOfClocks(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	for _, c := range []struct{ cron, after, next string }{
		{"30 2 * * *", "2026-03-28T03:00:00+01:00", "2026-03-30T02:30:00+02:00"}, // 29 March has no 2:30
		{"30 2 * * *", "2026-10-24T03:00:00+02:00", "2026-10-25T02:30:00+02:00"},
		{"30 2 * * *", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"}, // 25 October has two
		{"0 4 * * *", "2026-03-28T05:00:00+01:00", "2026-03-29T04:00:00+02:00"},
	} {
		s := &on.Schedule{Cron: c.cron, Zone: "Europe/Berlin"}
		after, err := time.Parse(time.RFC3339, c.after)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Next(after.In(berlin)).Format(time.RFC3339); got != c.next {
			t.Errorf("%s after %s is %s, not %s", c.cron, c.after, got, c.next)
		}
	}
}

// FuzzEvent looks for an event that makes a webhook give what the recipe does not
// declare.
func FuzzEvent(f *testing.F) {
	f.Add(`{"a": {"b": [1, {"c": "x"}]}, "image": 7}`, "a.b.1.c")
	f.Add(`{"": null, ".": {"": 1}}`, "..")
	f.Fuzz(func(t *testing.T, body, field string) {
		event := map[string]any{}
		if json.Unmarshal([]byte(body), &event) != nil {
			return
		}
		declared := []runtime.Param{{Name: "image", Type: "string"}, {Name: "n", Type: "integer"}}
		hook := &on.Trigger{Source: &on.Webhook{Given: on.Given{Fields: map[string]string{"image": field}}}}
		for name := range hook.Params(event, declared) {
			if name != "image" {
				t.Errorf("it gives %s", name)
			}
		}
		for name := range (&on.Trigger{Source: &on.Webhook{}}).Params(event, declared) {
			if name != "image" && name != "n" {
				t.Errorf("it gives %s", name)
			}
		}
	})
}
