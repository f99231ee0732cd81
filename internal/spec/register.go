package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// own are the assertions and matchers that a file has registered, and the texts that
// they speak in.
type own struct {
	words map[string]map[string]*registration // by kind, by name
	texts map[string]map[string]string        // of say, by namespace
	space string                              // the namespace
	set   map[string]lua.LValue               // assert:set_parameter
}

// registration is one assertion or matcher of the spec's own.
type registration struct {
	fn                 *runtime.Function
	positive, negative string
}

func registerFuncs() []runtime.Func {
	raises := []runtime.Kind{failure.Invalid}
	return []runtime.Func{
		{
			Name: "register", Colon: true, Raises: raises,
			Doc: "Makes an assertion, or a matcher, of the spec's own. An assertion is a function that gets a table and the list of arguments, and " +
				"returns whether it holds; %s in its texts stands for an argument. A matcher gets the same and returns a function that says " +
				"whether a value is so.",
			Example: `assert:register("assertion", "even", function(state, arguments) return arguments[1] % 2 == 0 end,
  "expected an even number, got %s", "expected an odd number, got %s")
assert.is_even(2)
assert.is_not_even(3)`,
			Call: runtime.Inline((*file).register),
		},
		{
			Name: "unregister", Colon: true, Doc: "Removes an assertion or a matcher made by register.", Example: `assert:unregister("assertion", "even")`,
			Call: runtime.Inline(func(f *file, _ *runtime.Call, a *wordArgs) (runtime.None, error) {
				delete(f.own.words[a.Kind], strings.ToLower(a.Name))
				return runtime.None{}, nil
			}),
		},
		{
			Name: "snapshot", Colon: true,
			Doc:     "Records which spies and stubs are in place. snapshot:revert() removes later ones. That also happens at the end of each test.",
			Returns: "the snapshot",
			Example: `local t, before = {go = function() return 1 end}, assert:snapshot()
stub(t, "go", 2)
before:revert()
assert.are.equal(1, t.go())`,
			Call: runtime.Inline(func(f *file, _ *runtime.Call, _ *runtime.None) (*Snapshot, error) {
				return &Snapshot{f, len(f.placed), maps.Clone(f.own.set)}, nil
			}),
		},
		{
			Name: "set_parameter", Colon: true, Doc: "Keeps a parameter of luassert, such as TableFormatLevel. It changes nothing: values are always shown as a whole.",
			Example: `assert:set_parameter("TableFormatLevel", 4)`,
			Call: runtime.Inline(func(f *file, _ *runtime.Call, a *parameterArgs) (runtime.None, error) {
				if f.own.set == nil {
					f.own.set = map[string]lua.LValue{}
				}
				f.own.set[a.Name] = orNil(a.Value)
				return runtime.None{}, nil
			}),
		},
		{
			Name: "get_parameter", Colon: true, Doc: "Returns what set_parameter has kept.", Returns: "the value, or nil", Example: `assert:get_parameter("TableFormatLevel")`,
			Call: runtime.Inline(func(f *file, _ *runtime.Call, a *parameterArgs) (lua.LValue, error) {
				return orNil(f.own.set[a.Name]), nil
			}),
		},
	}
}

type parameterArgs struct {
	Name  string     `lua:"name,pos,required" doc:"the parameter"`
	Value lua.LValue `lua:"value,pos,asis" doc:"its value"`
}

type wordArgs struct {
	Kind string `lua:"kind,pos,required" enum:"assertion|matcher" doc:"what it is"`
	Name string `lua:"name,pos,required" doc:"its name, such as even or has_property"`
}

type registerArgs struct {
	Kind     string            `lua:"kind,pos,required" enum:"assertion|matcher" doc:"what it is"`
	Name     string            `lua:"name,pos,required" doc:"its name, such as even or has_property"`
	Fn       *runtime.Function `lua:"fn,pos,required" doc:"what says whether it holds"`
	Positive string            `lua:"positive,pos" doc:"what is said when it should hold, and does not: a text, or the key of one that say:set has set"`
	Negative string            `lua:"negative,pos" doc:"what is said when it should not hold, and does"`
}

func (f *file) register(_ *runtime.Call, a *registerArgs) (runtime.None, error) {
	name, list := strings.ToLower(a.Name), assertions()
	if a.Kind == "matcher" {
		list = matchers()
	}
	if slices.ContainsFunc(list, func(own assertion) bool { return own.named(name) }) {
		return runtime.None{}, failure.New(failure.Invalid, "%s already has a word %q", map[string]string{"assertion": "assert", "matcher": "match"}[a.Kind], name).WithHint("give yours another name")
	}
	if f.own.words[a.Kind] == nil {
		if f.own.words == nil {
			f.own.words = map[string]map[string]*registration{}
		}
		f.own.words[a.Kind] = map[string]*registration{}
	}
	f.own.words[a.Kind][name] = &registration{a.Fn, a.Positive, a.Negative}
	return runtime.None{}, nil
}

// registered returns the file's own assertions.
func (f *file) registered() []assertion {
	return f.ownWords("assertion", func(name string) assertion {
		return asserting(runtime.Func{Name: name}, func(f *file, c *runtime.Call, a *callArgs) (verdict, error) { return f.ownVerdict(c, name, a.Args) })
	})
}

// ownMatchers returns the file's own matchers.
func (f *file) ownMatchers() []assertion {
	return f.ownWords("matcher", func(name string) assertion {
		return matching(runtime.Func{Name: name}, func(f *file, c *runtime.Call, a *callArgs) (predicate, error) { return f.ownTest(c, name, a.Args) })
	})
}

func (f *file) ownWords(kind string, of func(name string) assertion) []assertion {
	var all []assertion
	for _, name := range slices.Sorted(maps.Keys(f.own.words[kind])) {
		all = append(all, of(name))
	}
	return all
}

// call calls what was registered, with a state and the list of arguments.
func (f *file) callOwn(c *runtime.Call, kind, name string, args []lua.LValue) (own *registration, state, list *lua.LTable, out []any, err error) {
	own = f.own.words[kind][name]
	if own == nil {
		return nil, nil, nil, nil, failure.New(failure.Invalid, "the %s %q is no longer registered", kind, name)
	}
	state, list = newTable(), listOf(args)
	state.RawSetString("mod", lua.LTrue)
	out, err = own.fn.Call(c, state, list, 1)
	return own, state, list, out, err
}

// ownVerdict is the result of a registered assertion.
func (f *file) ownVerdict(c *runtime.Call, name string, args []lua.LValue) (verdict, error) {
	own, state, list, out, err := f.callOwn(c, "assertion", name, args)
	if err != nil {
		return verdict{}, err
	}
	v := verdict{message: text(state.RawGetString("failure_message"))}
	v.holds = len(out) > 0 && lua.LVAsBool(out[0].(lua.LValue))
	if len(out) > 1 {
		if t, ok := out[1].(*lua.LTable); ok {
			v.returns = results(itemsOf(t))
		}
	}
	shownArgs := make([]string, 0, len(args))
	for _, x := range itemsOf(list) {
		shownArgs = append(shownArgs, described(x))
	}
	v.unmet, v.met = f.wording(own.positive, shownArgs), f.wording(own.negative, shownArgs)
	return v, nil
}

// wording is a text, or that of a key, with arguments for each %s.
func (f *file) wording(key string, args []string) string {
	text, ok := f.textOf(key)
	if !ok {
		text = key
	}
	if text == "" {
		return "assertion failed!"
	}
	return fill(text, args)
}

// fill puts arguments in place of %s and the like.
func fill(text string, args []string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		switch {
		case text[i] == '%':
			b.WriteByte('%')
		case len(args) > 0:
			b.WriteString(args[0])
			args = args[1:]
		default:
			b.WriteString(text[i-1 : i+1])
		}
	}
	return b.String()
}

// ownTest is the test that a registered matcher makes from its arguments.
func (f *file) ownTest(c *runtime.Call, name string, args []lua.LValue) (predicate, error) {
	_, _, _, out, err := f.callOwn(c, "matcher", name, args)
	if err != nil {
		return nil, err
	}
	var fn *runtime.Function
	if len(out) > 0 {
		fn = c.Callable(out[0].(lua.LValue))
	}
	if fn == nil {
		return nil, failure.New(failure.Invalid, "the matcher %q returned no function", name)
	}
	return func(c *runtime.Call, v lua.LValue) (bool, error) {
		out, err := fn.Call(c, v)
		return err == nil && len(out) > 0 && lua.LVAsBool(out[0].(lua.LValue)), err
	}, nil
}

func newTable() *lua.LTable { return &lua.LTable{Metatable: lua.LNil} }

// listOf is a list of arguments, as luassert has it: with their number in n.
func listOf(values []lua.LValue) *lua.LTable {
	t := newTable()
	for i, v := range values {
		t.RawSetInt(i+1, v)
	}
	t.RawSetString("n", lua.LNumber(len(values)))
	return t
}

// itemsOf are the values of such a list.
func itemsOf(t *lua.LTable) []lua.LValue {
	n := t.Len()
	if given, ok := t.RawGetString("n").(lua.LNumber); ok && given >= 0 && given < 1000 {
		n = int(given)
	}
	out := make([]lua.LValue, n)
	for i := range out {
		out[i] = t.RawGetInt(i + 1)
	}
	return out
}

// Snapshot records which spies stood in place of something at a moment.
type Snapshot struct {
	file   *file
	placed int
	set    map[string]lua.LValue
}

// String names the object in messages.
func (s *Snapshot) String() string { return "snapshot" }

func snapshotType() runtime.Type {
	revert := func(s *Snapshot, _ *runtime.Call, _ *runtime.None) (runtime.None, error) {
		s.file.revertSpies(min(s.placed, len(s.file.placed)))
		s.file.own.set = s.set
		return runtime.None{}, nil
	}
	return runtime.Type{
		Name: "snapshot", Of: (*Snapshot)(nil), Doc: "What assert:snapshot() remembers.",
		Funcs: []runtime.Func{
			{Name: "", Doc: "Is revert.", Example: `assert:snapshot()()`, Call: runtime.Inline(revert)},
			{Name: "revert", Doc: "Removes the spies and stubs that came after the snapshot.", Example: `assert:snapshot():revert()`, Call: runtime.Inline(revert)},
		},
	}
}

// says is the module say: the texts of registered assertions.
func (f *file) says() runtime.Module {
	return runtime.Module{
		Name: "say", Self: f, Doc: "Texts by their keys, which assert:register may be given in place of texts.",
		Funcs: []runtime.Func{
			{
				Name: "", Doc: "Returns the text of a key, with values for its %s.", Returns: "the text, or nil",
				Example: `say:set("hello", "hello %s")
assert.are.equal("hello you", say("hello", {"you"}))`,
				Call: runtime.Inline((*file).sayText),
			},
			{
				Name: "set", Colon: true, Doc: "Sets the text of a key.", Example: `say:set("assertion.even.positive", "expected an even number, got %s")`,
				Call: runtime.Inline((*file).saySet),
			},
			{
				Name: "set_namespace", Colon: true, Doc: "Chooses the language of the texts that are set and shown.", Example: `say:set_namespace("en")`,
				Call: runtime.Inline(func(f *file, _ *runtime.Call, a *spaceArgs) (runtime.None, error) {
					f.own.space = a.Name
					return runtime.None{}, nil
				}),
			},
			{
				Name: "set_fallback", Colon: true, Doc: "Is taken, and changes nothing: English is looked at last.", Example: `say:set_fallback("en")`,
				Call: runtime.Inline(func(*file, *runtime.Call, *spaceArgs) (runtime.None, error) { return runtime.None{}, nil }),
			},
		},
	}
}

type spaceArgs struct {
	Name string `lua:"name,pos,required" doc:"the language, such as en"`
}

type sayArgs struct {
	Key    string      `lua:"key,pos,required" doc:"the key"`
	Values *lua.LTable `lua:"values,pos,asis" doc:"the values"`
}

const english = "en"

func (f *file) textOf(key string) (string, bool) {
	for _, space := range []string{f.own.space, english} {
		if text, ok := f.own.texts[space][key]; ok {
			return text, true
		}
	}
	return "", false
}

func (f *file) sayText(_ *runtime.Call, a *sayArgs) (lua.LValue, error) {
	t, ok := f.textOf(a.Key)
	if !ok {
		return lua.LNil, nil
	}
	var values []string
	if a.Values != nil {
		for _, v := range itemsOf(a.Values) {
			values = append(values, text(v))
		}
	}
	return lua.LString(fill(t, values)), nil
}

type saySetArgs struct {
	Key  string     `lua:"key,pos,required" doc:"the key"`
	Text lua.LValue `lua:"text,pos,required,asis" doc:"the text"`
}

func (f *file) saySet(_ *runtime.Call, a *saySetArgs) (runtime.None, error) {
	space := f.own.space
	if space == "" {
		space = english
	}
	if f.own.texts == nil {
		f.own.texts = map[string]map[string]string{}
	}
	if f.own.texts[space] == nil {
		f.own.texts[space] = map[string]string{}
	}
	f.own.texts[space][a.Key] = fmt.Sprint(text(a.Text))
	return runtime.None{}, nil
}
