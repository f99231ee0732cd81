package app_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// hostileRecipes are loaded by a server: none of them may end it, grow it or keep it
// from the others.
var hostileRecipes = map[string]string{
	"throws":   `error(setmetatable({code=7}, {__tostring=function(s) return "code "..s.kode end}))`,
	"endless":  `error(setmetatable({}, {__tostring=function() while true do end end}))`,
	"waits":    `error(setmetatable({}, {__tostring=function() sleep(1e6) return "" end}))`,
	"yields":   `error(setmetatable({}, {__tostring=function() return coroutine.yield() end}))`,
	"spins":    `while true do end`,
	"grows":    `local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end`,
	"doubles":  `local t = {1} for i = 1, 40 do t = {t, t} end error(t)`,
	"suggests": `local _ = _G[("a"):rep(15e6)]`,
	"recurses": `local function f() return f() + 1 end f()`,
	"repeats":  `return ("x"):rep(1e10)`,
	"nests":    "return " + strings.Repeat("not ", 15000) + "1",
	"itself":   `require("itself") params{}`,
	"large":    `params{n = {default = ("x"):rep(2^21)}}`,
	"many":     `local p = {} for i = 1, 20000 do p["p" .. i] = {doc = ("d"):rep(100)} end params(p)`,
	"infinite": `params{n = {default = 1/0}}`,
	"hooks":    `for i = 1, 1e5 do on.webhook{secret = "s" .. i} end params{}`,
	"dynamic":  `local m = "lib" .. ".none" require(m) params{}`,
}

// served is a server under way.
type served struct {
	*exec.Cmd
	t   *testing.T
	dir string

	mu  sync.Mutex
	log bytes.Buffer
}

// Write takes its log.
func (s *served) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *served) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// serveDir starts a server of recipes in dir/recipes.
func serveDir(t *testing.T, recipes map[string]string, args ...string) *served {
	t.Helper()
	s := &served{t: t, dir: t.TempDir()}
	for name, text := range recipes {
		s.write(name, text)
	}
	s.Cmd = exec.Command("mepc-run", append([]string{"serve", "recipes", "--listen", "127.0.0.1:0", "--state", "state", "--stop-timeout", "1s"}, args...)...)
	s.Dir, s.Stderr = s.dir, s
	s.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "HOME="+s.dir, "DOCKER_HOST=unix:///nowhere", "REDIS_URL=unix:///nowhere")
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Process.Kill(); _ = s.Wait() })
	return s
}

func (s *served) write(name, text string) {
	s.t.Helper()
	p := filepath.Join(s.dir, "recipes", name+".lua")
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(p+"~", []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(p+"~", p); err != nil {
		s.t.Fatal(err)
	}
}

// logs waits for a line of the log.
func (s *served) logs(text string) {
	s.t.Helper()
	s.eventually("it to say "+text, func() bool { return strings.Contains(s.said(), text) })
}

func (s *served) eventually(what string, ok func() bool) {
	s.t.Helper()
	for until := time.Now().Add(5 * time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) || s.Process.Signal(syscall.Signal(0)) != nil {
			s.t.Fatalf("waited in vain for %s:\n%s", what, s.said())
		}
	}
}

// client returns what a client command prints.
func (s *served) client(args ...string) string {
	s.t.Helper()
	cmd := exec.Command("mepc-run", append(args, "--state", "state")...)
	cmd.Dir, cmd.Env = s.dir, s.Env
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Errorf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestNoRecipeTouchesTheServer(t *testing.T) {
	t.Parallel()
	recipes := map[string]string{"good": "params{one = {}}", "zzz": "params{}"}
	for name, text := range hostileRecipes {
		recipes[name] = text
	}
	s := serveDir(t, recipes)
	s.logs("recipe=zzz") // the last one
	s.logs("msg=serving")
	st := s.client("status")
	for name := range hostileRecipes {
		if !strings.Contains(st, "recipe "+name+": ") && !strings.Contains(s.said(), `msg="a recipe is active" recipe=`+name+" ") {
			t.Errorf("nothing is said of %s", name)
		}
	}
	if strings.Contains(st, "recipe good: ") || len(st) > 64<<10 {
		t.Errorf("status:\n%s", st)
	}
	before := strings.Count(s.said(), "recipe=good ")
	s.write("good", "params{two = {}}")
	s.eventually("the edit to be active", func() bool { return strings.Count(s.said(), "recipe=good ") > before })
	if peak := s.peak(); peak > 128<<10 {
		t.Errorf("the server grew to %d KiB", peak)
	}
	if err := s.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); err != nil {
		t.Errorf("%v\n%s", err, s.said())
	}
}

// peak returns the largest size that the server had in memory, in KiB.
func (s *served) peak() (kib int) {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(after, &kib); err != nil {
		s.t.Fatal(err)
	}
	return kib
}
