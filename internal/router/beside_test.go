package router

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestBesideOthers compares what a request costs in mepc-run (ROUTER_BESIDE names the
// program), nginx and HAProxy, as far as they are installed: rounds in turns, in one
// run, so that ratios hold where the machine's own speed does not. It asserts nothing
// but that all is answered. make bench-router.
func TestBesideOthers(t *testing.T) {
	ours := os.Getenv("ROUTER_BESIDE")
	if ours == "" {
		t.Skip("ROUTER_BESIDE names no program: make bench-router")
	}
	s := startRedis(t)
	b := named(t, "up")
	s.list("app", b.URL)
	backend := strings.TrimPrefix(b.URL, "http://")
	dir := t.TempDir()
	others := map[string]func(addr string) *exec.Cmd{
		"mepc-run": func(addr string) *exec.Cmd {
			return exec.Command(ours, "router", "--listen", addr, "--admin", "", "--access-log", "", "--table", "", "--redis", "unix://"+s.socket)
		},
		"nginx": func(addr string) *exec.Cmd {
			file := filepath.Join(dir, "nginx.conf")
			write(t, file, `daemon off; master_process off; pid `+dir+`/pid; error_log /dev/null;
events {}
http {
  access_log off; client_body_temp_path `+dir+`/a; proxy_temp_path `+dir+`/b; fastcgi_temp_path `+dir+`/c; uwsgi_temp_path `+dir+`/d; scgi_temp_path `+dir+`/e;
  upstream app { server `+backend+`; keepalive 64; }
  server { listen `+addr+`; location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; } }
}`)
			return exec.Command("nginx", "-c", file, "-e", "/dev/null")
		},
		"haproxy": func(addr string) *exec.Cmd {
			file := filepath.Join(dir, "haproxy.cfg")
			write(t, file, `defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  option forwardfor
listen app
  bind `+addr+`
  server app `+backend+"\n")
			return exec.Command("haproxy", "-db", "-f", file)
		},
	}
	var all []*beside
	for _, name := range []string{"mepc-run", "nginx", "haproxy"} {
		if _, err := exec.LookPath(name); err != nil && name != "mepc-run" {
			t.Logf("%s is not installed", name)
			continue
		}
		all = append(all, startBeside(t, name, freeAddr(t), others[name]))
	}
	load, _ := os.ReadFile("/proc/loadavg")
	t.Logf("load before: %s", load)
	for _, post := range []bool{false, true} {
		for range 6 {
			for _, p := range all {
				p.round(t, post, 2000)
			}
		}
		for _, p := range all {
			p.say(t, post)
		}
	}
}

// beside is a proxy in a process of its own, and what it took.
type beside struct {
	name, addr string
	pid        int
	client     *http.Client
	cpu        []float64 // microseconds a request, of each round
	took       []time.Duration
}

func startBeside(t *testing.T, name, addr string, command func(string) *exec.Cmd) *beside {
	t.Helper()
	cmd := command(addr)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	eventually(t, name, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return &beside{name: name, addr: addr, pid: cmd.Process.Pid, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
}

// round has 8 clients make n requests.
func (p *beside) round(t *testing.T, post bool, n int) {
	before := ticks(t, p.pid)
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range n / 8 {
				began := now()
				err := ask(p.client, p.addr, post)
				mu.Lock()
				p.took = append(p.took, now().Sub(began))
				if err != nil {
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	p.cpu = append(p.cpu, float64(ticks(t, p.pid)-before)*1e4/float64(n)) // a tick is 10 ms
}

// say logs the medians, and begins anew.
func (p *beside) say(t *testing.T, post bool) {
	slices.Sort(p.cpu)
	slices.Sort(p.took)
	cpu := p.cpu[len(p.cpu)/2]
	t.Logf("%-9s post=%-5v CPU %5.1f us a request, p50 %6v, p99 %6v", p.name, post, cpu,
		p.took[len(p.took)/2].Round(time.Microsecond), p.took[len(p.took)*99/100].Round(time.Microsecond))
	p.cpu, p.took = nil, nil
}

// ticks returns the processor time of a process.
func ticks(t *testing.T, pid int) (sum int64) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+2:]))
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
