// Package failure is the vocabulary of what can go wrong: a Kind for each class
// of error, and Error, the one error type that crosses from Go into a recipe
// and out to the terminal. Start with Kind; everything else hangs on it.
package failure

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Kind classifies an error. A recipe reads it as err.kind, the process turns it
// into an exit code. The string is part of the public interface.
type Kind string

// The kinds, in the order in which the documentation lists them.
const (
	Usage       Kind = "usage"            // the command line is wrong
	Syntax      Kind = "syntax"           // the recipe does not compile
	Script      Kind = "script"           // the recipe raised an error of its own (error, fail, a nil index)
	Invalid     Kind = "invalid_argument" // a parameter or an option is wrong; nothing was changed
	NotFound    Kind = "not_found"        // the named thing does not exist
	Conflict    Kind = "conflict"         // it exists already, or someone else changed it first
	Timeout     Kind = "timeout"          // a deadline passed
	Auth        Kind = "auth"             // credentials or TLS were refused
	Unavailable Kind = "unavailable"      // the server could not be reached or went away
	Unhealthy   Kind = "unhealthy"        // a container did not become, or stay, healthy
	Denied      Kind = "denied"           // a guard or the operator's configuration refuses it
	Limit       Kind = "limit"            // the recipe ran past a budget
	NotModelled Kind = "not_modelled"     // the simulated world does not know the call: the rehearsal ends there
	Refused     Kind = "refused"          // the server refused the call for a reason of its own
	Unknown     Kind = "unknown"          // the call may or may not have taken effect
	Journal     Kind = "journal"          // the run's journal cannot be written: nothing more is done
	Cancelled   Kind = "cancelled"        // Ctrl-C, SIGTERM
	Output      Kind = "output"           // the results could not be written
	Internal    Kind = "internal"         // a bug in mepc-run
)

// info describes a kind for the process and the documentation.
type info struct {
	kind Kind
	exit int
	doc  string
}

// table is the single source of exit codes: ExitCode, Kinds and the reference
// in docs/ are read from it.
var table = [...]info{
	{Usage, 2, "the command line is wrong"},
	{Syntax, 3, "the recipe does not compile"},
	{Invalid, 4, "a parameter, option or argument is wrong"},
	{Script, 5, "the recipe raised an error of its own"},
	{Output, 6, "the run is done, but its results could not be written"},
	{NotFound, 10, "the named image, container, key or file does not exist"},
	{Conflict, 11, "it exists already, or someone else changed it first"},
	{Unhealthy, 12, "a container did not become or stay healthy"},
	{Timeout, 13, "a deadline passed"},
	{Refused, 14, "the engine or Redis refused the call"},
	{Unknown, 15, "a call may or may not have taken effect"},
	{Unavailable, 20, "the engine, Redis or router could not be reached"},
	{Auth, 21, "credentials or TLS were refused"},
	{Denied, 22, "a guard or the operator's configuration refuses it"},
	{Limit, 23, "the recipe ran past a budget"},
	{NotModelled, 24, "a rehearsal came to a call that its simulated world does not know"},
	{Journal, 25, "the run's journal cannot be written: nothing more is done; or a journal cannot be read"},
	{Internal, 70, "a bug in mepc-run"},
	{Cancelled, 130, "interrupted by Ctrl-C or SIGTERM"},
}

// Error is an error a person or a recipe can act on. Only Kind and Message are
// always set.
type Error struct {
	Kind      Kind
	Op        string   // the Lua function, such as "docker.start"
	Target    string   // what it was done to, such as "app-blue"
	Message   string   // what went wrong, in the server's words where it has some
	Hint      string   // what to do next
	State     string   // what state things are in now, where that is known
	Where     string   // recipe.lua:12
	Excerpt   string   // the recipe's lines around Where
	Trace     []string // the Lua call stack, innermost first, such as "lib/health.lua:9: in wait"
	Library   []string // the files in Trace that are the library's, which its reader did not write
	Retryable bool     // trying the same call again may work and can do no harm
	Details   string   // further lines, such as the last lines of a container's log
	Stack     string   // Go stacks, when it is a bug in mepc-run: for the report of it
	Cause     error
}

// Error returns "op target: message", without position and hint: those are for
// the renderer of the error.
func (e *Error) Error() string {
	switch {
	case e.Op != "" && e.Target != "":
		return fmt.Sprintf("%s %s: %s", e.Op, e.Target, e.Message)
	case e.Op != "":
		return fmt.Sprintf("%s: %s", e.Op, e.Message)
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New returns an Error of kind with a formatted message.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns an Error of kind whose message is the context and cause's text.
func Wrap(kind Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...) + ": " + cause.Error(), Cause: cause}
}

// Callers returns who called the line Where, innermost first. Lines of the library are
// left out, unless all are asked for: then hidden says how many.
func (e *Error) Callers(all bool) (lines []string, hidden int) {
	lines = e.Trace
	if len(lines) > 0 && e.Where != "" && strings.HasPrefix(lines[0]+":", e.Where+":") {
		lines = lines[1:]
	}
	if all {
		return lines, 0
	}
	own := slices.DeleteFunc(slices.Clone(lines), e.FromLibrary)
	return own, len(lines) - len(own)
}

// FromLibrary reports whether line, such as "lib/health.lua:9: in wait", is the library's.
func (e *Error) FromLibrary(line string) bool {
	return slices.ContainsFunc(e.Library, func(file string) bool { return strings.HasPrefix(line, file+":") })
}

// WithHint sets what to do next and returns e.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// As returns the first Error in err's chain, or nil.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// KindOf returns the kind of the first Error in err's chain, and Internal for
// an error that carries none.
func KindOf(err error) Kind {
	if e := As(err); e != nil {
		return e.Kind
	}
	return Internal
}

// ExitCode returns the process exit code for err: 0 for nil.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	kind := KindOf(err)
	for _, i := range table {
		if i.kind == kind {
			return i.exit
		}
	}
	return 70
}

// KindDoc is one row of the table of kinds.
type KindDoc struct {
	Kind Kind
	Exit int
	Doc  string
}

// Kinds returns every kind with its exit code and meaning, in exit code order.
func Kinds() []KindDoc {
	out := make([]KindDoc, len(table))
	for i, t := range table {
		out[i] = KindDoc{t.kind, t.exit, t.doc}
	}
	return out
}

// Innermost returns the error that all others wrap: what the system said, without the
// name of the call.
func Innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
