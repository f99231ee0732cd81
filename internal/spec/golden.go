package spec

import (
	"errors"
	"io/fs"
	"path"
	"regexp"
	"sync"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func goldenFunc() runtime.Func {
	return runtime.Func{
		Name: "matches_golden",
		Doc: "The plan of the run equals the file golden/NAME.plan beside the spec. mepc-run test --update writes " +
			"the file; read it, and commit it. The recipe's hash is left out.",
		Raises:  []runtime.Kind{failure.Script},
		Example: `run:matches_golden("bluegreen-first")`,
		Call:    runtime.Inline((*Rehearsed).matchesGolden),
	}
}

type goldenArgs struct {
	Name string `lua:"name,pos,required" doc:"the plan's name: letters, digits, - and _"`
}

var goldenName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]+$`) })

var recipeHash = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?m)^  recipe sha256:[0-9a-f]+\n`) })

func (r *Rehearsed) matchesGolden(c *runtime.Call, a *goldenArgs) (runtime.None, error) {
	if !goldenName().MatchString(a.Name) {
		return runtime.None{}, failure.New(failure.Invalid, "%q is not a valid plan name: use letters, digits, - and _", a.Name)
	}
	if _, err := r.world.simulated("run:matches_golden"); err != nil {
		return runtime.None{}, err
	}
	f := r.world.file
	name := path.Join(path.Dir(f.name), "golden", a.Name+".plan")
	got := recipeHash().ReplaceAllString(r.Plan, "")
	if f.opts.Update != nil {
		return runtime.None{}, f.opts.Update(name, []byte(got))
	}
	want, err := readFile(f.opts.Root, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return runtime.None{}, err
	}
	err = differs(name, "--update", want, err, got)
	if e := failure.As(err); e != nil {
		e.Where = c.Where()
	}
	return runtime.None{}, err
}
