package app_test

import (
	"errors"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mepc/mepc-run/internal/lab"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// TestCommandLine runs testdata/script: what a user types and sees, no server
// needed. The scripts' own commands are in commands.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", Cmds: commands(t), UpdateScripts: *update, Setup: plainEnv,
	})
}

// TestWithServers runs testdata/lab, against a real engine and a real Redis; see
// ownRedis.
// $NAME is a name of the script's own there, for containers and keys.
func TestWithServers(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	if err := lab.SampleImages(t.Context(), l.Engine, "1.0", "1.1"); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/lab", Cmds: commands(t), UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("DOCKER_HOST", l.Engine.Host())
			r, err := ownRedis(e.Defer)
			if err != nil {
				return err
			}
			e.Setenv("REDIS_URL", r.URL())
			e.Setenv("NAME", l.Name("t"))
			return plainEnv(e)
		},
	})
}

func plainEnv(e *testscript.Env) error {
	e.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector sleeps a second, else
	e.Setenv("HOME", e.WorkDir)             // not the Docker contexts of the user who runs the tests
	e.Setenv("RECIPES", absolute("../../recipes"))
	return nil
}

func absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		panic(err)
	}
	return abs
}

// commands adds to testscript's own commands:
//
//	exits CODE COMMAND...  runs it and checks its exit code; what it wrote is in
//	                       the files out and err, without what differs each time
//	guarded                points DOCKER_HOST and REDIS_URL to a listener: any
//	                       connection to it fails the script
//	recorded               puts proxies before DOCKER_HOST and REDIS_URL that let the
//	                       script pass only if they saw reads alone
//	server KIND            points DOCKER_HOST and REDIS_URL to one that misbehaves
//	redis PASSWORD         starts a Redis that wants it, on the socket $SOCKET
//	zeros FILE BYTES       makes a file
func commands(t *testing.T) map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"exits": exits, "recorded": func(ts *testscript.TestScript, _ bool, _ []string) { recorded(t, ts) }, "guarded": func(ts *testscript.TestScript, _ bool, _ []string) { guarded(t, ts) }, "server": server, "redis": startRedis, "zeros": zeros,
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	for from, to := range map[string]string{"stdout": "out", "stderr": "err"} {
		text := settled(ts, ts.ReadFile(from))
		ts.Check(os.WriteFile(ts.MkAbs(to), []byte(text), 0o600))
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// settle are the parts of output that differ each time.
var settle = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`recipe sha256:[0-9a-f]{12}\b`), "recipe sha256:HASH"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d `), ""},
	{regexp.MustCompile(`(\(\d+ effects? in |\(0 effects in )(<1ms|[0-9.hms]+)\)`), "${1}TIME)"},
	{regexp.MustCompile(`(?m)^((?:ok|done|failed|unknown)\s.*?) (<1ms|[0-9]+(?:\.[0-9]+)?(?:ms|s)|\d+m\d+s)\b`), "${1} TIME"},
	{regexp.MustCompile(`(done: \d+ effects? in )\S+`), "${1}TIME"},
	{regexp.MustCompile(`(?m)( in \d+ files?, )(<1ms|[0-9.]+m?s|\d+m\d+s)`), "${1}TIME"},
	{regexp.MustCompile(`(ships? with mepc-run: )[a-z, ]+`), "${1}LIST"},
	{regexp.MustCompile(`"(time|duration_ms)":("[^"]*"|[0-9.e-]+)`), `"$1":"TIME"`},
	{regexp.MustCompile(`\b10\.\d+\.\d+\.\d+\b`), "IP"},
	{regexp.MustCompile(`/\S*/docker-import-\d+`), "DIR"}, // before RELEASE: its number may have eight digits
	{regexp.MustCompile(`-[0-9a-f]{8}\b`), "-RELEASE"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "ID"},
	{regexp.MustCompile(`container [0-9a-f]{12}\b`), "container ID"},
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "DIGEST"},
}

func settled(ts *testscript.TestScript, text string) string {
	for _, name := range []string{"NAME", "DOCKER_HOST", "REDIS_URL", "WORK", "ADDRESS", "SOCKET"} {
		if v := ts.Getenv(name); v != "" {
			text = strings.ReplaceAll(text, v, "$"+name)
		}
	}
	for _, s := range settle {
		text = s.re.ReplaceAllString(text, s.to)
	}
	return text
}

func guarded(t *testing.T, ts *testscript.TestScript) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	touched := make(chan bool)
	go func() {
		c, err := l.Accept()
		if err == nil {
			c.Close()
		}
		touched <- err == nil
	}()
	ts.Setenv("DOCKER_HOST", "tcp://"+l.Addr().String())
	ts.Setenv("REDIS_URL", "redis://"+l.Addr().String())
	ts.Defer(func() {
		l.Close()
		if <-touched {
			t.Errorf("%s: a server was connected to", ts.Name())
		}
	})
}

func zeros(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	name := ts.MkAbs(args[0])
	ts.Check(os.WriteFile(name, nil, 0o600))
	ts.Check(os.Truncate(name, n))
}
