package failure

import (
	"log/slog"
	"runtime"
	"runtime/debug"
)

// Protect calls f and returns its error, or its panic as an error.
func Protect(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = Panicked(p)
		}
	}()
	return f()
}

// Panicked returns the error of a panic. It is called by the deferred function that
// recovered p.
func Panicked(p any) *Error {
	if e, ok := p.(*Error); ok && e.Stack != "" {
		return e // it was passed on
	}
	e := New(Internal, "panic: %v", p)
	e.Cause, _ = p.(error)
	e.Stack = string(debug.Stack())
	return e
}

// BugTo returns a function that logs a panic as what it is.
func BugTo(log *slog.Logger) func(error) {
	return func(err error) {
		stack := ""
		if e := As(err); e != nil {
			stack = e.Stack
		}
		log.Error("a bug in mepc-run", "error", err, "stack", stack)
	}
}

// Stacks returns the stacks of all goroutines.
func Stacks() string {
	buf := make([]byte, 64<<10)
	return string(buf[:runtime.Stack(buf, true)])
}
