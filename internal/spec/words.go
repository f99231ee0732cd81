package spec

import (
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// Modules returns the words of a spec, for documentation.
func Modules() []runtime.Module { return (&file{}).words() }

// Words returns everything that a spec can call, where modules is what recipes
// can: its own words, and what it shares with them.
func Words(modules []runtime.Module) []runtime.Module {
	f := &file{opts: &Options{Kit: Kit{Modules: modules}}}
	return append(f.words(), f.borrowed()...)
}

// words is the table of everything that a spec can say, besides what it has in
// common with recipes.
func (f *file) words() []runtime.Module {
	return append([]runtime.Module{f.globals(), f.asserts(), f.matchModule(), f.says(), f.busted()}, f.spies()...)
}

func (f *file) globals() runtime.Module {
	return runtime.Module{
		Doc: "The words of a spec.", Self: f,
		Types: []runtime.Type{worldType(), runType()},
		Funcs: append([]runtime.Func{
			{
				Name: "describe",
				Doc:  "Makes a block of tests about one thing. Words of its name that begin with # are tags. context is the same word.",
				Example: `describe("bluegreen", function()
  it("has a test", function() assert.is_true(true) end)
end)`,
				Call: runtime.Inline((*file).describe),
			},
			{
				Name:    "context",
				Doc:     "The same as describe, so that sentences read well.",
				Example: `context("with Redis down", function() end)`,
				Call:    runtime.Inline((*file).describe),
			},
			{
				Name: "it",
				Doc:  "Makes a test. Words of its name that begin with # are tags. Without a function it is pending.",
				Example: `it("adds #fast", function() assert.are.equal(4, 2 + 2) end)
it("is not written yet")`,
				Call: runtime.Inline((*file).it),
			},
			same("test", "it", "a test", `test("adds", function() assert.are.equal(4, 2 + 2) end)`, runtime.Inline((*file).it)),
			same("spec", "it", "a test", `spec("adds", function() assert.are.equal(4, 2 + 2) end)`, runtime.Inline((*file).it)),
			{
				Name:    "pending",
				Doc:     "Makes a test that is not run yet, whether or not it is written, or, inside a test, ends it as such.",
				Example: `pending("deploys to two engines", "when the second one is there")`,
				Call:    runtime.Inline((*file).pending),
			},
			{
				Name:    "before_each",
				Doc:     "Runs a function before each test of the block and of the blocks in it, the outermost block's first.",
				Example: `before_each(function() end)`,
				Call:    runtime.Inline(hookWord("before_each")),
			},
			{
				Name:    "after_each",
				Doc:     "Runs a function after each test of the block and of the blocks in it, the innermost block's first, also when the test failed.",
				Example: `after_each(function() end)`,
				Call:    runtime.Inline(hookWord("after_each")),
			},
			hookFunc("setup", "Runs a function once, before the first test of the block, also when that is pending. strict_setup is the same word."),
			hookFunc("teardown", "Runs a function once, after the last test of the block. strict_teardown is the same word."),
			hookFunc("strict_setup", "Is setup."),
			hookFunc("strict_teardown", "Is teardown."),
			hookFunc("lazy_setup", "Runs a function once, before the first test of the block that is not pending, and after the setup of all blocks around that."),
			hookFunc("lazy_teardown", "Runs a function once, after the last test of the block, if there was one that is not pending."),
			{
				Name: "randomize",
				Doc: "Shuffles the tests and blocks in the block, or in the file. A failing test names the number that repeats the order; " +
					"randomize(false) cancels it.",
				Example: `describe("in any order", function()
  randomize(1234)
  it("is the first, or not", function() end)
  it("is the second, or not", function() end)
end)`,
				Call: runtime.Inline((*file).randomize),
			},
			{
				Name:    "finally",
				Doc:     "Inside a test: runs a function when the test is over, also when it failed. The last one given runs first.",
				Raises:  []runtime.Kind{failure.Invalid},
				Example: `it("tidies up", function() finally(function() end) end)`,
				Call:    runtime.Inline((*file).finally),
			},
			worldFunc(),
		}, slices.Concat(insulateFuncs(), scenarioFuncs())...),
	}
}

type blockArgs struct {
	Name string            `lua:"name,pos,required" doc:"what is spoken of"`
	Fn   *runtime.Function `lua:"fn,pos,required" doc:"makes the tests and blocks in it"`
}

func (f *file) describe(c *runtime.Call, a *blockArgs) (runtime.None, error) {
	if err := f.collecting("describe"); err != nil {
		return runtime.None{}, err
	}
	return f.read(c, a, nil)
}

// read makes a block, with files of its own unless they are nil, of what a
// function of the spec says.
func (f *file) read(c *runtime.Call, a *blockArgs, files *runtime.Files) (runtime.None, error) {
	outer := f.at
	b := &block{parent: outer, files: files, names: append(outer.names[:len(outer.names):len(outer.names)], a.Name), where: c.Where()}
	outer.items = append(outer.items, item{block: b})
	f.at = b
	defer func() { f.at = outer }()
	defer f.enter(b)()
	_, err := a.Fn.Call(c)
	if e := runtime.Catch(err); e != nil {
		e.Excerpt = c.Excerpt(e.Where)
		b.broken = &Result{Names: b.names, Where: b.where, Status: Broken, Err: e}
		return runtime.None{}, nil
	}
	return runtime.None{}, err
}

type testArgs struct {
	Name string            `lua:"name,pos,required" doc:"what is true, as a sentence goes on"`
	Fn   *runtime.Function `lua:"fn,pos" doc:"the test; it passes when it raises no error"`
}

func (f *file) it(c *runtime.Call, a *testArgs) (runtime.None, error) {
	if err := f.collecting("it"); err != nil {
		return runtime.None{}, err
	}
	f.add(c, a.Name, a.Fn, "")
	return runtime.None{}, nil
}

func (f *file) add(c *runtime.Call, name string, fn *runtime.Function, why string) {
	b := f.at
	b.items = append(b.items, item{test: &test{
		block: b, names: append(b.names[:len(b.names):len(b.names)], name), where: c.Where(), fn: fn, why: why,
	}})
}

type pendingArgs struct {
	Name string     `lua:"name,pos,required" doc:"what is to be true; inside a test: why it is not yet"`
	Why  lua.LValue `lua:"why,pos,asis" doc:"why it is not yet; or the test, which is not run"`
}

func (f *file) pending(c *runtime.Call, a *pendingArgs) (runtime.None, error) {
	why := ""
	if c.Callable(orNil(a.Why)) == nil {
		why = text(a.Why)
	}
	if f.running == nil {
		f.add(c, a.Name, nil, why)
		return runtime.None{}, nil
	}
	f.running.pending = strings.TrimSpace(a.Name + " " + why)
	return runtime.None{}, &runtime.Error{Kind: failure.Script, Message: "pending: " + f.running.pending, Cause: errPending}
}

type hookArgs struct {
	Fn *runtime.Function `lua:"fn,pos,required" doc:"what to run"`
}

func hookWord(word string) func(f *file, c *runtime.Call, a *hookArgs) (runtime.None, error) {
	return func(f *file, c *runtime.Call, a *hookArgs) (runtime.None, error) {
		if err := f.collecting(word); err != nil {
			return runtime.None{}, err
		}
		b := f.at
		list := map[string]*[]*hook{
			"before_each": &b.beforeEach, "after_each": &b.afterEach,
			"setup": &b.strict.before, "strict_setup": &b.strict.before, "lazy_setup": &b.lazy.before,
			"teardown": &b.strict.after, "strict_teardown": &b.strict.after, "lazy_teardown": &b.lazy.after,
		}[word]
		*list = append(*list, &hook{word, c.Where(), a.Fn})
		return runtime.None{}, nil
	}
}

// hookFunc is a word for what is done once around the tests of a block.
func hookFunc(word, doc string) runtime.Func {
	return runtime.Func{Name: word, Doc: doc, Example: word + `(function() end)`, Call: runtime.Inline(hookWord(word))}
}

// same is a further word for what another one does.
func same(word, other, what, example string, call runtime.Caller) runtime.Func {
	return runtime.Func{Name: word, Doc: "Makes " + what + ", as " + other + " does.", Example: example, Call: call}
}

type randomizeArgs struct {
	Seed  lua.LValue `lua:"seed,pos,asis" doc:"the seed of the order, a new one each time if not given; or false"`
	Other lua.LValue `lua:"other,pos,asis" doc:"the number, when the first is true"`
}

func (f *file) randomize(_ *runtime.Call, a *randomizeArgs) (runtime.None, error) {
	if err := f.collecting("randomize"); err != nil {
		return runtime.None{}, err
	}
	f.at.seed = max(f.opts.Seed, 1)
	for _, v := range []lua.LValue{a.Seed, a.Other} {
		if n, ok := v.(lua.LNumber); ok && int64(n) != 0 {
			f.at.seed = int64(n)
		}
	}
	if a.Seed == lua.LFalse {
		f.at.seed = 0
	}
	return runtime.None{}, nil
}

// busted is the module that specs written for busted begin with.
func (f *file) busted() runtime.Module {
	return runtime.Module{
		Name: "busted", Self: f, Requires: []string{"busted.runner"},
		Doc: "For specs written for busted: require(\"busted\") and require(\"busted.runner\")() change nothing.",
		Funcs: []runtime.Func{{
			Name: "", Doc: "Does nothing.", Example: `require("busted.runner")()`,
			Call: runtime.Inline(func(*file, *runtime.Call, *callArgs) (runtime.None, error) { return runtime.None{}, nil }),
		}},
	}
}

func (f *file) finally(_ *runtime.Call, a *hookArgs) (runtime.None, error) {
	if f.running == nil {
		return runtime.None{}, failure.New(failure.Invalid, "finally stands outside of a test").WithHint("after_each and teardown are for blocks")
	}
	f.running.finally = append(f.running.finally, a.Fn)
	return runtime.None{}, nil
}

// collecting refuses what only makes sense while the file is read.
func (f *file) collecting(word string) error {
	if f.running == nil {
		return nil
	}
	return failure.New(failure.Invalid, "%s stands inside a test", word).WithHint("tests are made before the first one runs: put it into a describe")
}
