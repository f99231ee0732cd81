package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox"
	"github.com/mepc/mepc-run/internal/sandbox/show"
)

// goErrorKey is where an error object's metatable keeps the Go error.
const goErrorKey = "\x00error"

// errorFields are the fields of an error as recipes see it; docs/errors.md explains them.
var errorFields = []Field{
	{Name: "kind"},
	{Name: "message", Alias: []string{"msg", "text", "error"}},
	{Name: "op"},
	{Name: "target"},
	{Name: "hint", Alias: []string{"next"}},
	{Name: "where", Alias: []string{"line", "position"}},
	{Name: "state"},
	{Name: "details"},
	{Name: "retryable"},
}

// errorObject returns e as recipes see it: a table with its fields and no others, that
// prints as its message and remembers e.
func (r *Run) errorObject(e *Error) lua.LValue {
	t := sandbox.NewTable(0, 8)
	for i, v := range [...]string{ // in the order of errorFields
		string(e.Kind), r.scrub.Clean(e.Message), e.Op, e.Target, e.Hint, e.Where, r.scrub.Clean(e.State), r.scrub.Clean(e.Details),
	} {
		if v != "" {
			t.RawSetString(errorFields[i].Name, lua.LString(v))
		}
	}
	t.RawSetString("retryable", lua.LBool(e.Retryable))
	mt := sandbox.NewTable(0, 5)
	mt.RawSetString(goErrorKey, &lua.LUserData{Value: e})
	mt.RawSetString("__index", r.errorIndex)
	mt.RawSetString("__tostring", r.errorText)
	mt.RawSetString("__concat", r.errorConcat)
	mt.RawSetString("__metatable", lua.LString("error"))
	t.Metatable = mt
	return t
}

func (r *Run) errorFuncs() {
	r.errorText = r.vm.NewFunction(func(e sandbox.Entry) int {
		e.Push(lua.LString(text(e, e.Arg(1))))
		return 1
	})
	r.errorIndex = r.strictIndex("an error", shape{whole: true}, errorFields)
	r.errorConcat = r.vm.NewFunction(func(e sandbox.Entry) int {
		b := e.Builder()
		b.WriteString(text(e, e.Arg(1)))
		b.WriteString(text(e, e.Arg(2)))
		e.Push(lua.LString(b.String()))
		return 1
	})
}

// text returns v as tostring would for an error object or a plain value.
func text(entry sandbox.Entry, v lua.LValue) string {
	if e := goError(v); e != nil {
		s := e.Error()
		if e.Where != "" {
			s = e.Where + ": " + s
		}
		return s
	}
	return entry.Text(v)
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
	// A recipe may put the hint in the words of who called it.
	if hint, ok := t.RawGetString("hint").(lua.LString); ok && e != nil && string(hint) != e.Hint {
		said := *e
		said.Hint = string(hint)
		return &said
	}
	return e
}

// errorSteps is what an error of a Go function costs: its words, a suggestion, the
// position.
const errorSteps = 200

// fail raises err in the recipe as the outcome of call.
func (r *Run) fail(c *Call, err error) {
	if fatal(err) {
		c.entry.Throw(err)
	}
	if c.Context().Err() == nil { // else the run ends by this error, which is to say where
		c.entry.Charge(errorSteps)
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
	c.entry.Raise(r.errorObject(e))
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
		e = r.scriptError(raised)
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
// may carry kind, message and hint; one that can be written as text is that text,
// which the sandbox has written.
func (r *Run) scriptError(raised *sandbox.RaisedError) *Error {
	e := &Error{Kind: failure.Script}
	t, ok := raised.Value.(*lua.LTable)
	if !ok || r.vm.Meta(t, "__tostring") != lua.LNil {
		e.Message = raised.Message
		// error() put "file:line:" in front; the position stands in Where.
		if where, msg, ok := strings.Cut(e.Message, ": "); ok && isPosition(where) {
			e.Where, e.Message = where, msg
		}
		if strings.HasPrefix(e.Message, "attempt to perform arithmetic on a string value") {
			e.Hint = "texts are joined with ..: \"a\" .. b"
		}
		return e
	}
	e.Message = lua.LVAsString(t.RawGetString("message"))
	e.Hint = lua.LVAsString(t.RawGetString("hint"))
	if kind := Kind(lua.LVAsString(t.RawGetString("kind"))); slices.Contains(claimable, kind) {
		e.Kind = kind
	}
	if e.Message == "" {
		e.Message = "the recipe raised a table without a message: " + show.Line(t, maxShown)
	}
	return e
}

// maxShown is how much of a value stands in an error.
const maxShown = 300

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

// fromLibrary returns the files of the run that are the library's, word by word.
func (r *Run) fromLibrary() []string {
	library := r.host.opts.Library
	if library == nil {
		return nil
	}
	var files []string
	for _, file := range slices.Sorted(maps.Keys(r.sources)) {
		if src, err := fs.ReadFile(library, file); err == nil && bytes.Equal(src, r.sources[file]) {
			files = append(files, file)
		}
	}
	return files
}

// bugHint says what to do about a bug of ours.
const bugHint = "this is a bug in mepc-run: please report it"

// finish turns what ended the run into the error that its caller gets.
func (r *Run) finish(err error) error {
	if err == nil {
		return nil
	}
	var out error
	bug := failure.Protect(func() error { out = r.told(err); return nil })
	if e := failure.As(bug); e != nil {
		e.Message = "panic while an error was written" // it may be the scrubber that is broken
		return e
	}
	return out
}

func (r *Run) told(err error) error {
	err = r.toError(err)
	var limit *sandbox.LimitError
	var bug *sandbox.PanicError
	var stopped *sandbox.StoppedError
	var stuck *stuckError
	switch {
	case errors.As(err, &stuck):
		e := failure.Wrap(failure.Cancelled, stuck, "interrupted")
		if cause := failure.As(stuck.cause); cause != nil {
			e = &Error{Kind: cause.Kind, Message: stuck.Error(), Cause: stuck}
		}
		e.Stack, e.Hint = stuck.stacks, bugHint
		err = e
	case errors.As(err, &limit):
		err = &Error{
			Kind: failure.Limit, Where: position(limit.File, limit.Line),
			Message: strings.TrimPrefix(limit.Error(), position(limit.File, limit.Line)+": "),
			Hint:    limit.Hint, Cause: err, Trace: trace(limit.Frames),
		}
	case errors.As(err, &bug):
		err = &Error{
			Kind: failure.Internal, Message: bug.Error(), Stack: string(bug.Stack), Cause: err,
			Where: position(bug.File, bug.Line), Trace: trace(bug.Frames), Hint: bugHint,
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
	e.Excerpt, e.Library = r.excerpt(e.Where), r.fromLibrary()
	return r.scrub.cleanError(e)
}
