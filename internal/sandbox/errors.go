package sandbox

import (
	"errors"
	"fmt"
	"strconv"

	lua "github.com/yuin/gopher-lua"
)

// Frame is one place on a Lua stack.
type Frame struct {
	File string // the name the program was compiled with
	Line int
	Func string // the function's name as its caller wrote it; "" for a main chunk
	// Branch is above zero in the frame that started a branch: the 1-based
	// number of the branch that the frames before this one belong to.
	Branch int
}

// String returns "recipe.lua:12", and "" for the zero Frame.
func (f Frame) String() string {
	if f.File == "" {
		return ""
	}
	return f.File + ":" + strconv.Itoa(f.Line)
}

// SyntaxError says why a source does not compile.
type SyntaxError struct {
	File      string
	Line, Col int    // Col is 0 where it is not known
	Near      string // the offending token, "<eof>" at the end
	Message   string
	Hint      string // how Lua says it, for what other languages say; may be empty
}

// Error returns "file:line: message near 'token'".
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.What()) }

// What returns "message near 'token'".
func (e *SyntaxError) What() string {
	if e.Near == "" {
		return e.Message
	}
	return e.Message + " near '" + e.Near + "'"
}

// RaisedError is an error that a script or a host function raised and that
// nothing caught. It is the only kind that pcall catches.
type RaisedError struct {
	Value   lua.LValue // what error() was given
	Message string     // Value as tostring shows it
	Frames  []Frame    // innermost first, across pcall, coroutines and branches
	Branch  []int      // the branch it was raised in, outermost first; empty outside parallel
}

// Error returns the message.
func (e *RaisedError) Error() string { return e.Message }

// LimitError says that the script ran past one of its Limits. It cannot be caught.
type LimitError struct {
	Limit  string // "steps", "heap", "string", "depth", "coroutines" or "branches"
	Max    int64  // in the limit's own unit
	File   string
	Line   int // where the script was when it was stopped
	Hint   string
	Frames []Frame
}

// Error returns "file:line: the limit of N steps is used up" or its like.
func (e *LimitError) Error() string {
	where := ""
	if e.File != "" {
		where = fmt.Sprintf("%s:%d: ", e.File, e.Line)
	}
	var what string
	switch e.Limit {
	case limitSteps:
		what = fmt.Sprintf("the budget of %d steps is used up", e.Max)
	case limitHeap:
		what = fmt.Sprintf("the script holds more than %s of memory", byteSize(e.Max))
	case limitString:
		what = fmt.Sprintf("a string would be longer than %s", byteSize(e.Max))
	case limitDepth:
		what = fmt.Sprintf("calls through pcall, coroutines or callbacks are nested more than %d deep", e.Max)
	case limitCoroutines:
		what = fmt.Sprintf("more than %d coroutines are suspended", e.Max)
	case limitBranches:
		what = fmt.Sprintf("more than %d branches are alive", e.Max)
	default:
		what = fmt.Sprintf("limit %s of %d reached", e.Limit, e.Max)
	}
	return where + what
}

const (
	limitSteps      = "steps"
	limitHeap       = "heap"
	limitString     = "string"
	limitDepth      = "depth"
	limitCoroutines = "coroutines"
	limitBranches   = "branches"
)

func byteSize(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

// PanicError is a Go panic in a host function: a bug in the program, not in
// the script. It cannot be caught.
type PanicError struct {
	Value  any
	Stack  []byte // the Go stack where it happened
	File   string
	Line   int
	Frames []Frame
}

// Error returns "file:line: panic: value".
func (e *PanicError) Error() string {
	if e.File == "" {
		return fmt.Sprintf("panic: %v", e.Value)
	}
	return fmt.Sprintf("%s:%d: panic: %v", e.File, e.Line, e.Value)
}

// Unwrap returns the panic's value where that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// StoppedError says that the context ended: Ctrl-C, a deadline, a sibling
// branch's failure. It cannot be caught.
type StoppedError struct {
	Cause  error // context.Cause
	File   string
	Line   int
	Frames []Frame
}

// Error returns "file:line: stopped: cause".
func (e *StoppedError) Error() string {
	if e.File == "" {
		return fmt.Sprintf("stopped: %v", e.Cause)
	}
	return fmt.Sprintf("%s:%d: stopped: %v", e.File, e.Line, e.Cause)
}

// Unwrap returns the context's cause.
func (e *StoppedError) Unwrap() error { return e.Cause }

// ErrNotStarted is a Result's error when a sibling failed before this branch
// had its turn.
var ErrNotStarted = errors.New("branch was not started")

// Catchable reports whether pcall may swallow err: true for a RaisedError only.
func Catchable(err error) bool {
	_, ok := err.(*RaisedError)
	return ok
}
