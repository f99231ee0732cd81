package reference

import (
	"strconv"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
)

// ErrorField is one field of the table that a recipe gets for an error.
type ErrorField struct{ Name, Type, Doc string }

// ErrorFields describes that table. The runtime builds it; a test holds the two
// together.
func ErrorFields() []ErrorField {
	return []ErrorField{
		{"kind", "string", "one of the kinds above"},
		{"message", "string", "what went wrong, in the server's own words where it has some"},
		{"op", "string", "the function, such as docker.start; nil for an error of the recipe's own"},
		{"target", "string", "what it was done to, such as a container's name, or nil"},
		{"hint", "string", "what to do next, or nil"},
		{"state", "string", "what state things are in now, or nil where that is not known"},
		{"where", "string", "the recipe's line, such as bluegreen.lua:42"},
		{"details", "string", "further lines, such as the last lines of a container's log, or nil"},
		{"retryable", "boolean", "whether the same call may work if it is tried again, and can do no harm"},
	}
}

const errorsIntro = `# Errors

Every function raises an error when it cannot do what it was asked for. An error that nothing catches ends the run: what
was deferred runs, the error is printed with the recipe's line, and the exit code says of what kind it was.

## Kinds and exit codes

The exit code is 0 when the recipe came to its end.

`

const errorsFields = `
## The error in a recipe

[try](reference/std.md#try) hands an error over as a table. Lua's pcall and xpcall hand over what was raised: the same
table for an error of a function, the text for an error("text") of the recipe's own.

` + "```lua" + `
local container, err = try(docker.inspect, "app-blue")
if err and err.kind ~= "not_found" then error(err) end
` + "```" + `

`

const errorsRest = `
A misspelt field, such as err.knd, raises an error that names the field meant. A field of this table that an error lacks
is nil.

The table prints as "where: op target: message". Raised again with error(err) it stays the same error: kind, place and
exit code are those of its origin.

What a recipe raises with Lua's own error("text") has the kind script and the text as message. [fail](reference/std.md#fail)
raises an error of another kind, with a hint.

## The error on the screen

What happened comes first: the call, what it was done to, and the recipe's line. Then the details, such as the last lines
of the container's log; the state things are in now; what the run has changed; and what to do ` + "`next:`" + `. Last come the
lines that the call was made from. Of the code that ships with mepc-run the error has no more than the place: ` + "`-v`" + ` shows
that code's lines, too, and the error's kind.

` + "```" + `
error: docker.start app-blue: exec: "/app": permission denied
  at lib/release.lua:151, on ssh://host2, in step start app-blue
  details
    | listening on :8080
    | panic: no database
  state now
    traffic: still on app-green
  changed in this run (1 effect in 0.3s)
    docker.create app-blue
  next: make it executable: RUN chmod +x /app
  called from
    deploy.lua:12
    and 3 lines of shipped code (-v shows them)
` + "```" + `

## What cannot be caught

An interrupt (Ctrl-C, SIGTERM), the end of --timeout, a budget that is used up (limit) and a bug in mepc-run (internal)
end the run whatever the recipe does: neither try nor pcall sees them. What was deferred still runs, under the bound of
--grace, one minute by default.

## Unknown

A call that changes something and whose answer was lost may have taken effect. Such an error has the kind unknown or, when
the call ran into its deadline or was interrupted, timeout or cancelled; the report marks the call with a question mark.
The modules never send such a call a second time. Where a look can tell what is true (is the container there? does it
run?) they look first, for a few seconds, and there is no error when the call was done.
`

// Errors returns docs/errors.md.
func Errors() string {
	var b strings.Builder
	b.WriteString(generated)
	b.WriteString(errorsIntro)
	t := table{head: []string{"exit code", "kind", "meaning"}}
	for _, k := range failure.Kinds() {
		t.row(strconv.Itoa(k.Exit), code(string(k.Kind)), prose(k.Doc))
	}
	t.write(&b)
	b.WriteString(errorsFields)
	fields := table{head: []string{"field", "type", "meaning"}}
	for _, f := range ErrorFields() {
		fields.row(code(f.Name), f.Type, prose(f.Doc))
	}
	fields.write(&b)
	b.WriteString(errorsRest)
	return b.String()
}
