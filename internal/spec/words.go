package spec

import (
	"slices"
	"strings"

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
	return append([]runtime.Module{f.globals(), f.asserts()}, f.spies()...)
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
				Doc:     "Is describe, for the sentence's sake.",
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
			{
				Name:    "pending",
				Doc:     "Makes a test that is not written yet or, inside a test, ends it as such.",
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
			{
				Name:    "setup",
				Doc:     "Runs a function once, before the first test of the block.",
				Example: `setup(function() end)`,
				Call:    runtime.Inline(hookWord("setup")),
			},
			{
				Name:    "teardown",
				Doc:     "Runs a function once, after the last test of the block.",
				Example: `teardown(function() end)`,
				Call:    runtime.Inline(hookWord("teardown")),
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
	Name string `lua:"name,pos,required" doc:"what is to be true; inside a test: why it is not yet"`
	Why  string `lua:"why,pos" doc:"why it is not yet"`
}

func (f *file) pending(c *runtime.Call, a *pendingArgs) (runtime.None, error) {
	if f.running == nil {
		f.add(c, a.Name, nil, a.Why)
		return runtime.None{}, nil
	}
	f.running.pending = strings.TrimSpace(a.Name + " " + a.Why)
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
		list := map[string]*[]*hook{
			"before_each": &f.at.beforeEach, "after_each": &f.at.afterEach, "setup": &f.at.setup, "teardown": &f.at.teardown,
		}[word]
		*list = append(*list, &hook{word, c.Where(), a.Fn})
		return runtime.None{}, nil
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
