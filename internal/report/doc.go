// Package report shows a run to people and to programs. Start with Options and
// New; a Report is the sink of a run's events, and Finish says how it ended.
//
// # The rules
//
//   - stdout is results: what the recipe prints and what it returns. With JSON
//     it is one object a line and nothing else. Everything else goes to stderr.
//   - What is finished is printed once and scrolls away; only what is running is
//     ever redrawn. So the scrollback is the story of the run, in order.
//   - The story is what changed: calls that only look are shown while they run,
//     and kept only when the verbosity is 1.
//   - One call is one line: a mark, the function as the recipe wrote it, what it
//     was done to, its result, how long it took. The marks are ✓ done,
//     = unchanged, ✗ failed (nothing was done), ? unknown (it may have been
//     done) and a spinner while it runs. Colour only repeats what a mark says.
//   - Without a terminal an event is one line, "15:04:05 ok docker.start app",
//     that a grep can rely on; a long call shows its progress every 3 seconds.
//   - Text from outside (arguments, logs, what servers answer) cannot drive the
//     terminal: colour sequences are dropped, all other control characters and
//     bytes that are not UTF-8 are written as escapes such as \x1b.
//   - An error says what was being done, to what, where in the recipe, what the
//     server said, what state things are in, what changed in this run and what to
//     do next, in this order. Then come the recipe's lines that called it, without
//     those of the shipped library, which are shown with a verbosity of 1.
//   - A slow terminal or a stopped pager does not hold up a deployment: output
//     is written beside the run, which waits only for a reader some megabytes
//     behind.
//
// The bar, its rate and the time left are drawn with mpb. Its container is not
// used: it lays out a flat list, drops what does not fit without a word, and
// goes by a clock of its own, where a tree must say how much it hides.
//
// # JSON
//
// Each call that may change the world (with verbosity 1, each call) is a line
// once it has ended:
//
//	type         "effect"
//	seq          number among all the run's calls, from 1
//	time         when it began, RFC 3339
//	op           the function, such as "docker.start"
//	target       what it was done to, such as "app-blue"
//	class        "write" or "destructive"; "read" with verbosity 1
//	endpoint     the server, such as "unix:///var/run/docker.sock"
//	outcome      "ok", "unchanged", "refused" (nothing was done) or "unknown" (it may have been done)
//	duration_ms  a number with at most three decimals
//	where        the recipe's line, such as "bluegreen.lua:42"
//	scope        the names of the steps around it, outermost first
//	branch       the parallel branch, such as "2.1"; "" outside of parallel
//	args         the other arguments by name, as text, secrets redacted
//	summary      its result, in a few words; may be ""
//	error        null, or an error
//
// The last line is the result:
//
//	type         "result"
//	recipe       its name
//	status       "ok", "unchanged" (nothing had to be done), "failed" or "cancelled"
//	effects      how many calls changed, or may have changed, the world
//	duration_ms  of the whole run
//	error        null, or an error
//	value        what the recipe returned, or null
//
// An error has kind and message, and where they are known op, target, where,
// hint (what to do next), state (what things are in now), details, trace (the
// Lua call stack, innermost first) and retryable (true, or left out). Fields may
// be added; programs should ignore those they do not know. What the recipe
// prints and logs goes to stderr in this mode.
package report
