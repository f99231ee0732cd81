package runtime

import (
	"errors"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox"
	"github.com/mepc/mepc-run/internal/sandbox/show"
)

// maxAnswer is how much of a value a prompt shows.
const maxAnswer = 16 << 10

// Prompt runs what was typed at a prompt and returns the values that it comes to, as
// text. more says that it is the beginning of something: it was not run. What can be
// caught is e; what ends the run is err.
func (c *Call) Prompt(name, src string) (values []string, more bool, e *Error, err error) {
	fn, more, err := c.entry.Prompt(name, src)
	var syntax *sandbox.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, more, failure.New(failure.Syntax, "%s", syntax.What()).WithHint("%s", syntax.Hint), nil
	case err != nil:
		return nil, false, nil, err
	}
	out, err := (&Function{call: c, fn: fn}).Call(c)
	if e := Catch(err); e != nil {
		return nil, false, e, nil
	}
	for _, v := range out {
		values = append(values, c.answer(v.(lua.LValue)))
	}
	return values, false, nil, err
}

// answer writes a value for a prompt: a table as Lua has it, anything else as it writes
// itself.
func (c *Call) answer(v lua.LValue) string {
	text := ""
	switch v.(type) {
	case *lua.LTable, lua.LString:
		if text = show.Line(v, maxAnswer); len(text) > 72 {
			text = show.Lines(v, maxAnswer)
		}
	default:
		text = c.entry.Text(v)
	}
	return c.run.scrub.Clean(text)
}

// Globals returns the names of what a recipe can call, for completion: docker,
// docker.create, string.rep.
func (h *Host) Globals() []string {
	var names []string
	for lib, members := range h.Standard() {
		names = append(names, lib)
		for _, m := range members {
			names = append(names, lib+"."+m)
		}
	}
	for _, m := range h.opts.Modules {
		if m.Name != "" {
			names = append(names, m.Name)
		}
		for _, f := range m.Funcs {
			names = append(names, f.Qualified(m.Name))
		}
	}
	return names
}

// Methods returns the names of all methods of objects.
func (h *Host) Methods() []string {
	var names []string
	for _, m := range h.opts.Modules {
		for _, t := range m.Types {
			for _, f := range t.Funcs {
				names = append(names, f.Name)
			}
			names = append(names, t.Names...)
		}
	}
	return names
}
