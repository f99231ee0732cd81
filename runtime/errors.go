package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox"
)

// goErrorKey is where an error object's metatable keeps the Go error.
const goErrorKey = "\x00error"

// errorObject returns e as recipes see it: a table with its fields, that prints
// as its message and remembers e.
func (r *Run) errorObject(e *Error) lua.LValue {
	t := newTable(0, 8)
	set := func(name, v string) {
		if v != "" {
			t.RawSetString(name, lua.LString(v))
		}
	}
	set("kind", string(e.Kind))
	set("op", e.Op)
	set("target", e.Target)
	set("message", r.scrub.Clean(e.Message))
	set("hint", e.Hint)
	set("where", e.Where)
	set("state", r.scrub.Clean(e.State))
	set("details", r.scrub.Clean(e.Details))
	t.RawSetString("retryable", lua.LBool(e.Retryable))
	mt := newTable(0, 4)
	mt.RawSetString(goErrorKey, &lua.LUserData{Value: e})
	mt.RawSetString("__tostring", r.errorText)
	mt.RawSetString("__concat", r.errorConcat)
	mt.RawSetString("__metatable", lua.LString("error"))
	t.Metatable = mt
	return t
}

func (r *Run) errorFuncs() {
	L := r.vm.State()
	r.errorText = L.NewFunction(func(L *lua.LState) int {
		L.Push(lua.LString(text(L, L.Get(1))))
		return 1
	})
	r.errorConcat = L.NewFunction(func(L *lua.LState) int {
		L.Push(lua.LString(text(L, L.Get(1)) + text(L, L.Get(2))))
		return 1
	})
}

// text returns v as tostring would for an error object or a plain value.
func text(L *lua.LState, v lua.LValue) string {
	if e := goError(v); e != nil {
		s := e.Error()
		if e.Where != "" {
			s = e.Where + ": " + s
		}
		return s
	}
	return L.ToStringMeta(v).String()
}

// goError returns the Go error behind an error object, or nil.
func goError(v lua.LValue) *Error {
	t, ok := v.(*lua.LTable)
	if !ok {
		return nil
	}
	mt, ok := t.Metatable.(*lua.LTable)
	if !ok {
		return nil
	}
	ud, ok := mt.RawGetString(goErrorKey).(*lua.LUserData)
	if !ok {
		return nil
	}
	e, _ := ud.Value.(*Error)
	return e
}

// fail raises err in the recipe as the outcome of call.
func (r *Run) fail(c *Call, err error) {
	if fatal(err) {
		r.vm.Throw(c.state, err)
	}
	var e *Error
	if found := failure.As(err); found != nil {
		copied := *found
		e = &copied
		if err != error(found) {
			e.Message = err.Error()
		}
	} else {
		e = failure.Wrap(failure.Internal, err, "%s", c.fn.name)
	}
	if e.Where == "" { // else it was raised further inside: in a step's function, say
		e.Where = c.Where()
		// fail and params speak of the recipe, not of themselves.
		if e.Op == "" && c.fn.name != "fail" && c.fn.name != "params" {
			e.Op = c.fn.name
		}
	}
	r.vm.Raise(c.state, r.errorObject(e))
}

// fatal reports whether err ends the run whatever the recipe does.
func fatal(err error) bool {
	var limit *sandbox.LimitError
	var bug *sandbox.PanicError
	var stopped *sandbox.StoppedError
	return errors.As(err, &limit) || errors.As(err, &bug) || errors.As(err, &stopped)
}

// Catch returns err as the recipe may handle it, or nil when there is no error
// or one that ends the run whatever the recipe does: a limit, an interrupt.
func Catch(err error) *Error {
	if err == nil || fatal(err) {
		return nil
	}
	return failure.As(err)
}

// toError converts what the sandbox returns into an Error with position and
// trace. Errors that are fatal stay what they are.
func (r *Run) toError(err error) error {
	var raised *sandbox.RaisedError
	if !errors.As(err, &raised) {
		return err
	}
	e := goError(raised.Value)
	if e == nil {
		e = r.scriptError(raised.Value)
	}
	copied := *e
	if copied.Trace == nil {
		copied.Trace = trace(raised.Frames)
	}
	if copied.Where == "" && len(raised.Frames) > 0 {
		copied.Where = raised.Frames[0].String()
	}
	return &copied
}

// scriptError makes an Error of a value that the recipe raised itself. A table
// may carry kind, message and hint.
func (r *Run) scriptError(v lua.LValue) *Error {
	e := &Error{Kind: failure.Script}
	t, ok := v.(*lua.LTable)
	if !ok || r.vm.State().GetMetaField(t, "__tostring") != lua.LNil {
		e.Message = r.vm.ToString(r.vm.State(), v)
		// error() put "file:line:" in front; the position stands in Where.
		if where, msg, ok := strings.Cut(e.Message, ": "); ok && isPosition(where) {
			e.Where, e.Message = where, msg
		}
		return e
	}
	e.Message = lua.LVAsString(t.RawGetString("message"))
	e.Hint = lua.LVAsString(t.RawGetString("hint"))
	if kind := Kind(lua.LVAsString(t.RawGetString("kind"))); slices.Contains(claimable, kind) {
		e.Kind = kind
	}
	if e.Message == "" {
		e.Message = "the recipe raised a table without a message"
	}
	return e
}

// claimable are the kinds that a recipe may give to an error of its own.
var claimable = []Kind{
	failure.Script, failure.Invalid, failure.NotFound, failure.Conflict, failure.Timeout, failure.Unhealthy, failure.Unavailable,
}

// isPosition reports whether s looks like "file.lua:12".
func isPosition(s string) bool {
	i := strings.LastIndexByte(s, ':')
	if i < 1 || i == len(s)-1 || strings.ContainsAny(s, " \n") {
		return false
	}
	return strings.Trim(s[i+1:], "0123456789") == ""
}

// trace writes frames as lines, innermost first. A function that called itself
// is one line.
func trace(frames []sandbox.Frame) []string {
	var lines []string
	last, times := "", 0
	for _, f := range frames {
		line := f.String()
		if f.Func != "" {
			line += ": in " + f.Func
		}
		if line == last {
			times++
			lines[len(lines)-1] = fmt.Sprintf("%s (%d times)", line, times)
			continue
		}
		last, times = line, 1
		lines = append(lines, line)
	}
	return lines
}

func position(file string, line int) string {
	if file == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", file, line)
}

// finish turns what ended the run into the error that its caller gets.
func (r *Run) finish(err error) error {
	if err == nil {
		return nil
	}
	err = r.toError(err)
	var limit *sandbox.LimitError
	var bug *sandbox.PanicError
	var stopped *sandbox.StoppedError
	switch {
	case errors.As(err, &limit):
		err = &Error{
			Kind: failure.Limit, Where: position(limit.File, limit.Line),
			Message: strings.TrimPrefix(limit.Error(), position(limit.File, limit.Line)+": "),
			Hint:    limit.Hint, Cause: err, Trace: trace(limit.Frames),
		}
	case errors.As(err, &bug):
		err = &Error{
			Kind: failure.Internal, Message: bug.Error(), Details: string(bug.Stack), Cause: err,
			Where: position(bug.File, bug.Line), Trace: trace(bug.Frames),
			Hint: "this is a bug in mepc-run: please report it with the lines above",
		}
	case errors.As(err, &stopped):
		e := failure.Wrap(failure.Cancelled, stopped.Cause, "interrupted")
		if cause := failure.As(stopped.Cause); cause != nil {
			*e = *cause
		}
		e.Where, e.Trace = position(stopped.File, stopped.Line), trace(stopped.Frames)
		err = e
	}
	e := failure.As(err)
	if e == nil {
		e = failure.Wrap(failure.Internal, err, "run")
	}
	e.Excerpt = r.excerpt(e.Where)
	return r.scrub.cleanError(e)
}
