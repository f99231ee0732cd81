package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

func TestReplies(t *testing.T) {
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	for _, tc := range []struct{ in, want any }{
		{nil, nil},
		{"s", "s"},
		{int64(7), int64(7)},
		{1.5, 1.5},
		{true, true},
		{huge, "123456789012345678901234567890"},
		{[]any{nil, "a", []any{nil}}, []any{false, "a", []any{false}}},
		{map[any]any{"a": nil, "b": []any{nil}, int64(1): "x", true: "y"}, map[string]any{"b": []any{false}, "1": "x", "true": "y"}},
		{[]any{redis.ErrNoScript}, []any{map[string]any{"err": redis.ErrNoScript.Error()}}},
	} {
		if diff := cmp.Diff(tc.want, replyOf(tc.in)); diff != "" {
			t.Errorf("%v: -want +got:\n%s", tc.in, diff)
		}
	}
	flat := []any{"a", "1", "b", "2"}
	want := map[any]any{"a": "1", "b": "2"}
	if diff := cmp.Diff(want, named(lookup("hgetall"), flat)); diff != "" {
		t.Errorf("HGETALL of a server without RESP3: %s", diff)
	}
	if diff := cmp.Diff(flat, named(lookup("lrange"), flat)); diff != "" {
		t.Errorf("LRANGE: %s", diff)
	}
}

// FuzzReply lets a server answer anything to one command. What comes out has to
// be what a recipe can hold, or an error; never a panic, never a hang.
func FuzzReply(f *testing.F) {
	for _, s := range []string{
		"+OK\r\n", "$-1\r\n", "_\r\n", ":9223372036854775807\r\n", ",inf\r\n", ",nan\r\n", "#t\r\n", "(123456789012345678901\r\n",
		"*3\r\n$1\r\na\r\n_\r\n*-1\r\n", "%2\r\n+a\r\n_\r\n:1\r\n$1\r\nx\r\n", "~1\r\n+a\r\n", "=7\r\ntxt:abc\r\n",
		"-WRONGTYPE no\r\n", "!5\r\nERR x\r\n", "|1\r\n+a\r\n+b\r\n+c\r\n", ">2\r\n+invalidate\r\n_\r\n+OK\r\n",
		"%1\r\n*1\r\n+a\r\n+b\r\n", "$3\r\n\xff\x00\r\r\n", "*1\r\n-ERR in\r\n", "$9223372036854775807\r\n", "x\r\n", "",
	} {
		f.Add([]byte(s))
	}
	// go-redis sets aside what an answer claims to need before it has come.
	large := regexp.MustCompile(`[*%~>|$!=]\+?[0-9]{6,12}\b`)
	f.Fuzz(func(t *testing.T, answer []byte) {
		if large.Match(answer) {
			return
		}
		client := redis.NewClient(&redis.Options{
			Dialer: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go serve(theirs, answer)
				return ours, nil
			},
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
			MaxRetries:               -1, ContextTimeoutEnabled: true, ReadTimeout: -1, WriteTimeout: -1,
			PipelinePoolSize: -1, DialerRetries: 1, DisableIdentity: true,
		})
		defer client.Close()
		r := &Connection{client: client, endpoint: "pipe", timeout: 2 * time.Second}
		k, err := r.prepare("hgetall", []runtime.Value{"k"})
		if err != nil {
			t.Fatal(err)
		}
		v, err := attempt(t.Context(), clock.Wall{}, r.timeout, k.sent("pipe"), func(ctx context.Context) (any, error) {
			cmd := once{k.cmd(ctx)}
			err := client.Process(ctx, cmd)
			return cmd.Val(), err
		})
		if err == nil {
			plainValue(t, replyOf(named(k.command, v)), false)
		}
	})
}

// serve answers the greeting as Redis does, and the command with answer.
func serve(c net.Conn, answer []byte) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "hello":
			in.Discard(len("$1\r\n3\r\n"))
			c.Write([]byte("%1\r\n+proto\r\n:3\r\n"))
		case "hgetall":
			in.Discard(len("$1\r\nk\r\n"))
			c.Write(answer)
			return
		}
	}
}

// plainValue fails for what has no Lua form, and for a nil within a list.
func plainValue(t *testing.T, v any, within bool) {
	switch v := v.(type) {
	case nil:
		if within {
			t.Error("a nil within a list")
		}
	case string, int64, float64, bool:
	case []any:
		for _, item := range v {
			plainValue(t, item, true)
		}
	case map[string]any:
		for _, item := range v {
			plainValue(t, item, true)
		}
	default:
		t.Errorf("%T has no Lua form", v)
	}
}

func TestNumbersAsRedisReadsThem(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 10: "10", -3: "-3", 1e15: "1000000000000000", 1 << 53: "9007199254740992", 0.1: "0.1", 1.5e-7: "1.5e-07",
		1e300: "1e+300", math.Inf(1): "Inf", math.Inf(-1): "-Inf",
	} {
		if got := number(x); got != want {
			t.Errorf("%v: %s, want %s", x, got, want)
		}
	}
}

func FuzzWords(f *testing.F) {
	f.Add("a", 1.5, "\xff\x00")
	f.Fuzz(func(t *testing.T, a string, x float64, b string) {
		if math.IsNaN(x) {
			return
		}
		words, err := flatten([]runtime.Value{a, []runtime.Value{x, b}})
		if err != nil || len(words) != 3 || words[0] != a || words[2] != b {
			t.Errorf("%q, %v", words, err)
		}
		if shown := show("set", words); strings.ContainsFunc(shown, func(r rune) bool { return r < ' ' }) {
			t.Errorf("control characters in %q", shown)
		}
	})
}

func TestTable(t *testing.T) {
	if !slices.IsSortedFunc(table[:], func(a, b command) int { return strings.Compare(a.name, b.name) }) {
		t.Error("it is not sorted: lookup would miss commands")
	}
	for _, c := range table {
		if c.doc == "" || c.syntax == "" || c.arity == 0 || c.class == 0 {
			t.Errorf("incomplete: %+v", c)
		}
	}
	for name, want := range map[string][2]string{
		"get": {"read", "open"}, "set": {"write", "open"}, "linsert": {"write", "open"}, "del": {"destructive", "open"},
		"ltrim": {"destructive", "open"}, "lpop": {"destructive", "open"}, "hdel": {"destructive", "open"}, "rename": {"destructive", "open"},
		"publish": {"write", "open"}, "expire": {"write", "open"}, "config|get": {"read", "open"}, "ping": {"read", "open"},
		"config|set": {"write", "admin"}, "flushall": {"destructive", "admin"}, "flushdb": {"destructive", "admin"},
		"shutdown": {"destructive", "admin"}, "debug": {"write", "admin"}, "module|load": {"write", "admin"},
		"replicaof": {"write", "admin"}, "acl|setuser": {"write", "admin"}, "acl|getuser": {"read", "admin"},
		"migrate": {"destructive", "admin"}, "restore": {"write", "admin"}, "client|kill": {"destructive", "admin"},
		"eval": {"write", "scripts"}, "eval_ro": {"read", "scripts"}, "fcall": {"write", "scripts"},
		"script|load": {"write", "scripts"}, "function|delete": {"destructive", "scripts"},
		"subscribe": {"write", "never"}, "multi": {"write", "never"}, "watch": {"write", "never"}, "select": {"write", "never"},
		"client|reply": {"write", "never"}, "monitor": {"write", "never"}, "auth": {"write", "never"}, "wait": {"write", "never"},
	} {
		c := lookup(name)
		if c == nil {
			t.Errorf("no %s", name)
			continue
		}
		if got := [2]string{c.class.String(), [...]string{"open", "scripts", "admin", "never"}[c.access]}; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestSlots(t *testing.T) {
	// As CLUSTER KEYSLOT answers.
	for key, want := range map[string]int{"": 0, "a": 15495, "123456789": 12739, "frontend:{app}": slot("app"), "{a}{b}": slot("a")} {
		if got := slot(key); got != want {
			t.Errorf("%q: %d, want %d", key, got, want)
		}
	}
}

func TestRefusalsAreToldApart(t *testing.T) {
	for answer, want := range map[string]string{
		"WRONGTYPE Operation against a key":          "conflict false",
		"NOAUTH Authentication required.":            "auth false",
		"WRONGPASS invalid username-password pair":   "auth false",
		"NOPERM this user has no permissions":        "auth false",
		"OOM command not allowed when used memory":   "refused false",
		"READONLY You can't write against a replica": "unavailable true",
		"LOADING Redis is loading the dataset":       "unavailable true",
		"MISCONF Redis is configured to save RDB":    "refused false",
		"MOVED 1 127.0.0.1:1":                        "invalid_argument false",
		"CLUSTERDOWN The cluster is down":            "unavailable true",
		"ERR max number of clients reached":          "unavailable true",
		"BUSY Redis is busy running a script":        "unavailable true",
		"BUSYGROUP Consumer Group name exists":       "conflict false",
		"ERR no such key":                            "not_found false",
		"ERR DB index is out of range":               "invalid_argument false",
		"ERR something else":                         "refused false",
	} {
		e := refusal(answer, sent{verb: "SET", key: "k", syntax: "SET key value", endpoint: "redis://h"})
		if got := kindOf(e); got != want {
			t.Errorf("%s: %s, want %s", answer, got, want)
		}
		if hint := failure.As(e).Hint; strings.Contains(hint, "KEY)") || strings.Contains(hint, "USAGE") {
			t.Errorf("%s: hint %q", answer, hint)
		}
	}
}

func TestEverythingIsDocumented(t *testing.T) {
	m := New(Allow{})
	check := func(name string, f runtime.Func) {
		if f.Doc == "" || f.From == "" || f.Returns == "" || len(f.Raises) == 0 || f.Example == "" || f.Call == nil {
			t.Errorf("%s: something is not said: %+v", name, f)
		}
		_, fields := f.Result()
		for _, field := range append(f.Fields(), fields...) {
			if field.Doc == "" {
				t.Errorf("%s: %s has no doc", name, field.Name)
			}
		}
	}
	for _, f := range m.Funcs {
		check("redis."+f.Name, f)
	}
	for _, typ := range m.Types {
		if typ.Doc == "" {
			t.Errorf("%s has no doc", typ.Name)
		}
		for _, f := range typ.Funcs {
			check(typ.Name+":"+f.Name, f)
		}
		for _, name := range []string{"get", "config", "LINSERT"} {
			f, err := typ.Method(name)
			if err != nil {
				t.Fatal(err)
			}
			check(typ.Name+":"+name, *f)
		}
	}
}

// kindOf writes an error's kind, and whether it can be tried again.
func kindOf(err error) string {
	f := failure.As(err)
	return fmt.Sprint(f.Kind, " ", f.Retryable)
}

var errTest = errors.New("test")

func TestCtrlCIsNotTakenForARedisThatIsAway(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(failure.New(failure.Cancelled, "interrupted"))
	dial := &servers.DialError{Addr: "h:6379", Err: context.Canceled}
	if got := kindOf(explain(ctx, dial, sent{verb: "SET", mutates: true})); got != "cancelled false" {
		t.Error(got)
	}
}

func TestExplainNeverHidesAnUnknownOutcome(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, mutates := range []bool{true, false} {
		want := "unavailable true"
		if mutates {
			want = "unknown false"
		}
		if got := kindOf(explain(ctx, errTest, sent{verb: "X", mutates: mutates})); got != want {
			t.Errorf("mutates %t: %s, want %s", mutates, got, want)
		}
	}
}
