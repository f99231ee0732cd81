package spec

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/runtime"
)

// A scenario's plan is kept in golden/SPEC/SCENARIO.plan beside the spec. When a spec has
// that directory, each of its scenarios has a plan there.

var notInName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^A-Za-z0-9]+`) })

// plans is the directory of the spec's plans.
func (f *file) plans() string {
	return path.Join(path.Dir(f.name), "golden", strings.TrimSuffix(path.Base(f.name), "_spec.lua"))
}

// planOf is the file of a scenario's plan.
func (f *file) planOf(t *test) string {
	name := strings.ToLower(strings.Trim(notInName().ReplaceAllString(strings.Join(t.names, "-"), "-"), "-"))
	return path.Join(f.plans(), name+".plan")
}

// keepsPlan compares a scenario's plan with the one that is kept, or keeps it. Its run is
// covered as those of w:run are.
func (f *file) keepsPlan(ctx context.Context, t *test) error {
	_, err := fs.Stat(f.opts.Root, f.plans())
	kept := err == nil
	if !kept && !f.opts.Train && f.opts.Coverage == nil {
		return nil
	}
	got, err := f.planned(ctx, t.scenario)
	if err != nil || !kept && !f.opts.Train {
		return err
	}
	name := f.planOf(t)
	if f.opts.Train {
		return f.opts.Update(name, []byte(got))
	}
	want, err := readFile(f.opts.Root, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return differs(name, "--train", want, err, got)
}

// differs is the error of a plan that is not the one that is kept.
func differs(name, flag string, want []byte, missing error, got string) error {
	e := &runtime.Error{Kind: failure.Script, Cause: errAssertion}
	switch {
	case missing != nil:
		e.Message, e.Details = "there is no "+name, "mepc-run test "+flag+" writes it; read it, and commit it"
	case string(want) == got:
		return nil
	default:
		e.Message = "the plan differs from " + name + ", which is (-)"
		e.Details = diff(strings.Split(string(want), "\n"), strings.Split(got, "\n"))
	}
	return e
}

// planned is the plan of a scenario's run, when nothing goes wrong.
func (f *file) planned(ctx context.Context, s *scenario) (string, error) {
	stage, err := f.opts.Stage(s.state, routers(s.state), nil)
	if err != nil {
		return "", err
	}
	defer stage.Close()
	recipe, err := f.opts.Recipe(stage.Host, f.opts.Root, s.args.Recipe)
	if err != nil {
		return "", err
	}
	cover := f.opts.cover()
	r, err := stage.Run(ctx, s.args.Recipe, recipe, runtime.RunOptions{
		Params: s.args.Params, Seed: 1, Print: func(string) {}, Cover: cover, Guards: []runtime.Guard{guards(stage.Clients, s.args.Allow...)},
	})
	if err != nil {
		return "", err
	}
	f.opts.covered(s.args.Recipe, cover, effectsOf(r.Plan))
	var text bytes.Buffer
	err = r.Plan.Write(&text, plan.Style{})
	return recipeHash().ReplaceAllString(text.String(), ""), err
}

// effectsOf returns a plan's effects.
func effectsOf(p *plan.Plan) []*Effect {
	var all []*Effect
	for i := range p.Entries {
		if p.Entries[i].Effect != nil {
			all = append(all, effectOf(&p.Entries[i]))
		}
	}
	return all
}

// cover counts the lines of a run; nil when coverage is off.
func (o *Options) cover() *runtime.Cover {
	if o.Coverage == nil {
		return nil
	}
	return &runtime.Cover{}
}

// covered takes in what a run executed.
func (o *Options) covered(recipe string, ran *runtime.Cover, effects []*Effect) {
	if ran != nil {
		o.Coverage.add(recipe, ran, effects)
	}
}
