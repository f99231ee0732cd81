// Package redis gives recipes Redis: any command as a method of a connection,
// transactions, and a guarded replacement of lists. Start with New; the
// commands come from table.go, which is generated from what a redis-server says
// of itself, and command.go says what of them a recipe may use.
package redis

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// New returns the module. Its connections are made by the *servers.Clients of a run.
func New(allow Allow) runtime.Module {
	return runtime.Module{
		Name: "redis",
		Doc: "Talks to Redis: every command is a method of a connection, with plain Lua values as arguments and replies. " +
			"A null reply is nil, or false within a list.",
		Self: runtime.PerRun(func(w *servers.Clients) *module { return &module{w, allow} }),
		Funcs: []runtime.Func{
			{
				Name: "connect", Class: runtime.Pure,
				Doc:     "Returns a connection. Nothing is dialled before its first command, and a command is never sent twice.",
				From:    "URL forms:\n" + servers.RedisForms,
				Returns: "a connection",
				Raises:  []runtime.Kind{failure.Invalid},
				Example: `local r = redis.connect()`,
				Call:    runtime.Inline((*module).connect),
			},
		},
		Types: []runtime.Type{connectionType(), watchingType(), queueType()},
	}
}

// Open returns a connection to the default Redis of world, for programs that hand
// one to a script.
func Open(ctx context.Context, world *servers.Clients, allow Allow) (*Connection, error) {
	client, endpoint, err := world.Redis(ctx, "")
	if err != nil {
		return nil, err
	}
	return &Connection{client: client, endpoint: endpoint, clock: world.Clock(), timeout: defaultTimeout, allow: allow}, nil
}

// defaultTimeout is that of connectArgs.
const defaultTimeout = 5 * time.Second

func connectionType() runtime.Type {
	return runtime.Type{
		Name: "redis", Of: (*Connection)(nil),
		Doc: "A connection. Any Redis command is a method: its words are the arguments, sub-commands included, and a list " +
			`stands for its items: r:config("get", "save"), r:rpush("key", {"a", "b"}).`,
		Method: method((*Connection).command), Names: methodNames(),
		Funcs: []runtime.Func{
			{
				Name: "multi", Class: runtime.Write,
				Doc: "Sends several commands as one transaction: all or, when fn raises an error, none. " +
					"Redis undoes nothing when a command fails within it, and a reply such as LINSERT's -1 (no such pivot) or 0 (no such list) " +
					"is no failure: the commands behind it are done all the same. Where that matters, look first, in r:watch.",
				From:    "MULTI, EXEC",
				Returns: "a list of the replies, false for null",
				Raises:  commandKinds,
				Example: `r:multi(function(tx) tx:set("a", 1) tx:incr("n") end)`,
				Timeout: gateBound,
				Call:    runtime.Inline((*Connection).multi),
			},
			{
				Name: "watch", Class: runtime.Write,
				Doc: "Calls fn with a connection of its own, in which reads are done at once and tx:multi(fn) writes. " +
					"When one of the keys was changed by someone else since, nothing is written and a conflict raised.",
				From:    "WATCH, UNWATCH",
				Returns: "what fn returns",
				Raises:  commandKinds,
				Example: `r:watch({"n"}, function(tx)
  local n = tx:get("n")
  return tx:multi(function(m) m:set("n", n + 1) end)
end)`,
				Timeout: gateBound,
				Call:    runtime.Inline((*Connection).watch),
			},
			{
				Name: "replace_list", Class: runtime.Write,
				Doc: "Replaces a whole list, if it is exactly what was expected (compare and set), and deletes further keys in the same transaction. " +
					"Of two who do it at once one gets a conflict, which says what the list holds. " +
					"A list that holds the new items already is left alone. It is never empty in between, and keeps its time to live.",
				From:    "WATCH, LRANGE, MULTI, RPUSH, LTRIM, DEL, EXEC",
				Returns: "true when it was changed, false when it was so already",
				Raises:  commandKinds,
				Example: `r:replace_list("frontend:app", {"app", old}, {"app", new}, {del={"dead:app"}})`,
				Timeout: gateBound,
				Call:    runtime.Effect((*Connection).replaceList),
			},
			pipelineFunc(),
			subscribeFunc(),
			listsFunc(),
			clusteredFunc(),
			mastersFunc(),
		},
	}
}

func watchingType() runtime.Type {
	return runtime.Type{
		Name: "redis.watching", Of: (*watching)(nil),
		Doc:    "What the function of r:watch gets: commands that read are methods.",
		Method: method((*watching).command), Names: methodNames(),
		Funcs: []runtime.Func{{
			Name: "multi", Class: runtime.Write,
			Doc:     "As r:multi, and only if nothing that is watched was changed since. It ends the watch.",
			From:    "MULTI, EXEC",
			Returns: "a list of the replies, false for null",
			Raises:  commandKinds,
			Example: `tx:multi(function(m) m:del("dead:app") end)`,
			Timeout: gateBound,
			Call:    runtime.Inline((*watching).multi),
		}},
	}
}

func queueType() runtime.Type {
	return runtime.Type{
		Name: "redis.queue", Of: (*queue)(nil),
		Doc:    "What the function of multi gets: commands are methods, queue themselves and return nothing.",
		Method: method((*queue).command), Names: methodNames(),
	}
}

// commandKinds are what a command may raise.
var commandKinds = []runtime.Kind{
	failure.Invalid, failure.Denied, failure.Conflict, failure.Refused, failure.NotFound,
	failure.Auth, failure.Unavailable, failure.Timeout, failure.Unknown,
}

// gateBound is the gate's own bound; a connection's timeout, and what a command
// waits in Redis, end calls before.
const gateBound = 24 * time.Hour

// method makes methods of a type by way of its function command.
func method[S any](command func(S, *runtime.Call, string, *commandArgs) (any, error)) func(string) (*runtime.Func, error) {
	return func(name string) (*runtime.Func, error) {
		name = strings.ToLower(name)
		cmd, err := known(name)
		if err != nil {
			return nil, err
		}
		f := &runtime.Func{
			Name: name, Class: runtime.Write, Doc: "Has sub-commands: " + strings.Join(subcommands(name), ", ") + ".",
			From: strings.ToUpper(name), Returns: "the reply", Raises: commandKinds, Timeout: gateBound,
			Example: "-- " + strings.ToUpper(name) + " subcommand [arg ...]",
			Call: runtime.Inline(func(self S, c *runtime.Call, a *commandArgs) (any, error) {
				return command(self, c, name, a)
			}),
		}
		if cmd != nil {
			f.Class, f.Doc, f.Example = cmd.class, cmd.doc+".", "-- "+cmd.syntax
		}
		return f, nil
	}
}

// methodNames returns the commands that a recipe may send.
func methodNames() []string {
	var names []string
	for i := range table {
		first, _, _ := strings.Cut(table[i].name, "|")
		if table[i].access != never && !slices.Contains(names, first) {
			names = append(names, first)
		}
	}
	return names
}

// module is what redis.connect works with.
type module struct {
	world *servers.Clients
	allow Allow
}

type connectArgs struct {
	URL     string        `lua:"url,pos,secret" doc:"which Redis; default: --redis, else REDIS_URL, else redis://127.0.0.1:6379"`
	Timeout time.Duration `lua:"timeout" default:"5s" min:"0.001" doc:"how long a command may take, on top of what it waits in Redis"`
}

func (m *module) connect(c *runtime.Call, a *connectArgs) (*Connection, error) {
	if u, err := url.Parse(a.URL); err == nil && u.User != nil {
		if password, ok := u.User.Password(); ok {
			c.Secret(password) // from now on it is not shown, wherever it turns up
		}
	}
	client, endpoint, err := m.world.Redis(c.Context(), a.URL)
	if err != nil {
		return nil, err
	}
	return &Connection{client: client, endpoint: endpoint, clock: m.world.Clock(), timeout: a.Timeout, allow: m.allow}, nil
}
