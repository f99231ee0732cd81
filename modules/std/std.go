// Package std is what every recipe has at hand besides Lua's own library:
// parameters, steps, compensations, errors, retries, time, logs, JSON, and
// branches that run side by side. Start with Modules, the table of it all.
package std

import (
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// Options says what of its surroundings a recipe may see.
type Options struct {
	// Env holds the environment variables that the operator passes on, by name.
	Env map[string]string
	// Routers are the URLs of the routers that the operator named.
	Routers []string
	// Secrets reads the secrets that the operator declared, by name.
	Secrets map[string]func() (string, error)
}

// Std is the receiver of the functions.
type Std struct{ opts Options }

// Modules returns the modules: the plain globals, then log, json, parallel, fs,
// semver, base64, net.
func Modules(opts Options) []runtime.Module {
	s := &Std{opts}
	return []runtime.Module{s.globals(), s.log(), s.json(), s.parallel(), s.fs(), s.semver(), s.base64(), s.net()}
}

func (s *Std) globals() runtime.Module {
	return runtime.Module{
		Doc: "Functions that every recipe has at hand.", Self: s,
		Types: []runtime.Type{compensationType},
		Funcs: append([]runtime.Func{
			{
				Name: "params",
				Doc: "Declares what the recipe takes and returns the values. It comes first, once. " +
					"Each name has type (string, integer, number, boolean, duration, size, enum, list, map, secret; default string), " +
					"required, default, doc, min and max (durations in seconds, sizes in bytes), and values (of an enum). " +
					"Durations arrive as seconds, sizes as bytes, lists as lists of strings, maps as tables of strings. " +
					"A list given once is separated by commas; given several times, each is an item. A map is NAME=value, given as often as it has names; values keep their commas.",
				Returns: "a table of the values by name; one that was not given and has no default is nil",
				Raises:  []runtime.Kind{failure.Invalid, failure.Script},
				Example: `local p = params{
  image = {type="string", default="mepc/app:1.0", doc="what to deploy"},
  port  = {type="integer", default=8080, min=1, max=65535},
  drain = {type="duration", default="2s"},
}
assert(p.port == 8080 and p.drain == 2)`,
				Call: runtime.Inline((*Std).params),
			},
			{
				Name: "step",
				Doc: "Runs a function as a named step: reports show its calls under its name. " +
					"once=true is for what cannot be looked up afterwards, such as a migration: a run that resumes one that was cut off does not repeat it.",
				Returns: "what the function returns",
				Example: `local ip = step("find the address", function() return "10.0.0.2" end)
assert(ip == "10.0.0.2")`,
				Call: runtime.Inline((*Std).step),
			},
			{
				Name: "defer",
				Doc: "Registers a function that undoes something, to be run when the run fails for any reason: " +
					"an error, a limit, Ctrl-C, SIGTERM. The last registered runs first, under a deadline of its own, and gets the error. " +
					"A string that it returns is told to the user as the state things are in now.",
				Returns: "an object whose cancel() makes it not run",
				Example: `local undo = defer("remove the new container", function(err) log("undone") end)
undo:cancel()`,
				Call: runtime.Inline((*Std).deferFunc),
			},
			{
				Name: "try",
				Doc: "Calls a function and hands an error over instead of raising it. Limits and interrupts are not handed over: " +
					"they end the run.",
				Returns: "the function's first result and nil, or nil and the error: a table with kind, op, target, message, hint, state, retryable, where and details",
				Example: `local value, err = try(function() fail("no luck", {hint="try again"}) end)
assert(value == nil and err.kind == "script" and err.hint == "try again")`,
				Call: runtime.Inline((*Std).try),
			},
			{
				Name: "retry",
				Doc: "Calls a function until it raises no error. The waiting time grows by the factor backoff and is spread by jitter, " +
					"from the run's seed. Errors of kind invalid_argument, denied, auth and internal are not tried again.",
				Returns: "what the function returns",
				Example: `local tries = 0
local got = retry(function(attempt)
  tries = attempt
  if attempt < 3 then fail("not yet") end
  return "ready"
end, {attempts=5, delay="1ms"})
assert(got == "ready" and tries == 3)`,
				Call: runtime.Inline((*Std).retry),
			},
			{
				Name:    "sleep",
				Doc:     "Waits. Other branches go on meanwhile. A rehearsal does not wait: its clock jumps.",
				Example: `sleep("5ms")`,
				Call:    runtime.Inline((*Std).sleep),
			},
			{
				Name:    "now",
				Doc:     "Tells the time by the run's clock.",
				Returns: "seconds since 1970, with fractions",
				Example: `local start = now()
assert(now() >= start)`,
				Call: runtime.Inline((*Std).now),
			},
			{
				Name: "fail",
				Doc:  "Raises an error of the recipe's own. kind decides what a recipe that catches it sees, and the exit code.",
				Raises: []runtime.Kind{
					failure.Script, failure.Invalid, failure.NotFound, failure.Conflict, failure.Timeout, failure.Unhealthy, failure.Unavailable,
				},
				Example: `local _, err = try(function() fail("1.4 is marked bad", {hint="deploy 1.5"}) end)
assert(err.message == "1.4 is marked bad")`,
				Call: runtime.Inline((*Std).fail),
			},
			{
				Name:    "env",
				Doc:     "Reads an environment variable that the operator passes on with --env NAME.",
				Returns: "its value, or nil when it is not set",
				Raises:  []runtime.Kind{failure.Denied},
				Example: `local region = env("REGION")`,
				Call:    runtime.Inline((*Std).env),
			},
			{
				Name: "secret",
				Doc: "Returns a secret that the operator declares with --secret NAME=env:VARIABLE, NAME=file:PATH or NAME=cmd:COMMAND (needs --allow secret-commands). " +
					"The value cannot be read or printed; functions whose argument is marked as secret take it.",
				Returns: "the secret",
				Raises:  []runtime.Kind{failure.Denied, failure.NotFound},
				Example: `local password = secret("db_password")
assert(tostring(password) == "[secret]")`,
				Call: runtime.Inline((*Std).secret),
			},
			{
				Name:    "sha256",
				Doc:     "Computes the SHA-256 digest of a string's bytes.",
				Returns: "64 hexadecimal digits",
				Example: `assert(sha256("mepc"):sub(1, 8) == "e60d0a85")`,
				Call:    runtime.Inline((*Std).sha256),
			},
			{
				Name:    "routers",
				Doc:     "Tells which routers the operator named with --router or MEPC_ROUTER: a recipe confirms a switch through them.",
				Returns: "a list of URLs; empty when none is named",
				Example: `for _, url in ipairs(routers()) do log(url) end`,
				Call:    runtime.Inline((*Std).routers),
			},
			{
				Name: "require",
				Doc: "Loads a file once and returns what it returned: lib/frontend.lua for \"lib.frontend\". Files come from the " +
					"recipe's directory tree, then from the library that ships with mepc-run.",
				Returns: "what the file returned, or true",
				Raises:  []runtime.Kind{failure.NotFound, failure.Invalid, failure.Syntax, failure.Script},
				Example: `local release = require("lib.release")`,
				Call:    runtime.Inline((*Std).require),
			},
		}, textFuncs()...),
	}
}
