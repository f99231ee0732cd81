package app_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/lab"
)

// TestAnInterruptInAnyPhaseLeavesTheTrafficWhole interrupts a redeploy while it
// does this or that. Before the new release is confirmed and the old one's
// requests are over, the traffic must go back and the new release away; after
// that it must stay. In both cases nothing is left unsaid, the exit code is 130,
// and the same command, run again, completes the deployment.
func TestAnInterruptInAnyPhaseLeavesTheTrafficWhole(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	if err := lab.SampleImages(t.Context(), l.Engine, "1.0", "1.1"); err != nil {
		t.Fatal(err)
	}
	// A router that answers, and never from the new release.
	router := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "1.0") }))
	t.Cleanup(router.Close)
	for _, tc := range []struct {
		phase   string
		old     []string // what the first deployment is given
		new     []string // what the interrupted one is given
		after   string   // the line of stderr that the signal follows
		signals []os.Signal
		moved   bool   // whether the new release keeps the traffic
		says    string // a pattern in the last lines
	}{
		{
			phase: "create", after: `start .*docker\.create`, signals: []os.Signal{syscall.SIGINT},
			says: `was removed|is not there`,
		},
		{
			phase: "start", after: `start .*docker\.start`, signals: []os.Signal{syscall.SIGTERM},
			says: `was removed`,
		},
		{
			phase: "health wait", new: []string{"env=LISTEN_AFTER=30s"}, after: `ok .*docker\.start`,
			signals: []os.Signal{syscall.SIGINT}, says: `was removed`,
		},
		{
			phase: "confirm", new: []string{"expect=1.1", "--router", router.URL}, after: `step +confirm`,
			signals: []os.Signal{syscall.SIGINT}, says: `points to http://\S+ again|points to http://`,
		},
		{
			phase: "drain", new: []string{"drain=1s"}, after: `step +drain`,
			signals: []os.Signal{syscall.SIGHUP}, says: `interrupted by the end of the terminal`,
		},
		{
			phase: "stop", old: []string{"env=IGNORE_SIGTERM=true"}, after: `start .*docker\.stop`,
			signals: []os.Signal{syscall.SIGINT}, moved: true, says: `run this again`,
		},
	} {
		t.Run(tc.phase, func(t *testing.T) {
			t.Parallel()
			d := &deployment{t: t, lab: l, app: l.Name("i")}
			d.must(0, d.deploy("1.0", append(tc.old, "drain=0s")...))
			before := d.traffic()

			p := d.deploy("1.1", append([]string{"drain=0s"}, tc.new...)...)
			p.waitFor(tc.after)
			for _, s := range tc.signals {
				p.signal(s)
			}
			out := d.must(130, p)
			if !regexp.MustCompile(tc.says).MatchString(ending(out)) {
				t.Errorf("it does not say %q:\n%s", tc.says, out)
			}

			after := d.traffic()
			if moved := !cmp.Equal(before, after); moved != tc.moved {
				t.Errorf("traffic went to %s and goes to %s now\n%s", before, after, out)
			}
			d.serves(after)
			for name, state := range d.containers() {
				left := strings.Contains(name, "-1.1-")
				if left && !tc.moved || state == "created" {
					t.Errorf("%s is left, %s\n%s", name, state, out)
				}
			}

			d.must(0, d.deploy("1.1", "drain=0s"))
			again := d.traffic()
			if cmp.Equal(again, before) {
				t.Errorf("run again, it did not move the traffic from %s", before)
			}
			d.serves(again)
		})
	}
}

// TestASecondInterruptEndsTheUndoing interrupts a deployment that would wait
// half a minute before it takes down what it has started.
func TestASecondInterruptEndsTheUndoing(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	if err := lab.SampleImages(t.Context(), l.Engine, "1.0", "1.1"); err != nil {
		t.Fatal(err)
	}
	d := &deployment{t: t, lab: l, app: l.Name("i")}
	d.must(0, d.deploy("1.0", "drain=0s"))
	before := d.traffic()
	p := d.deploy("1.1", "drain=30s")
	p.waitFor(`step +drain`)
	p.signal(syscall.SIGINT)
	p.waitFor(`ok +redis\.multi`) // the traffic goes back
	start := time.Now()
	p.signal(syscall.SIGINT)
	out := d.must(130, p)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	if after := d.traffic(); !cmp.Equal(before, after) {
		t.Errorf("traffic went to %s and goes to %s now\n%s", before, after, out)
	}
	d.serves(before)
	// What is left is said: the new release still runs.
	if end := ending(out); !regexp.MustCompile(`take ` + d.app + `-1\.1-\S+ down NOT DONE: interrupted by Ctrl-C`).MatchString(end) {
		t.Errorf("it does not say what is left:\n%s", out)
	}
}

// TestAnInterruptedStreamSaysWhatIsKnown interrupts a build and a load while
// their bytes are on the way.
func TestAnInterruptedStreamSaysWhatIsKnown(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	dir := t.TempDir()
	sparse(t, filepath.Join(dir, "context", "data"), 1<<30)
	write(t, filepath.Join(dir, "context", "Dockerfile"), "FROM scratch\nCOPY data /data\n")
	sparse(t, filepath.Join(dir, "big.tar"), 1<<30)
	write(t, filepath.Join(dir, "build.lua"), `docker.build{context = "context", tag = "mepc/interrupted:1"}`)
	write(t, filepath.Join(dir, "load.lua"), `docker.load("big.tar")`)
	for _, verb := range []string{"build", "load"} {
		p := start(t, l, dir, verb+".lua")
		p.waitFor(`start +docker\.` + verb)
		p.waitSent(32 << 20)
		p.signal(syscall.SIGINT)
		out := p.wait(130)
		if !strings.Contains(ending(out), "docker."+verb+" ") || !strings.Contains(ending(out), "may have been done: look before") {
			t.Errorf("%s:\n%s", verb, out)
		}
	}
}

// ending returns the last lines of out: what is said of the run as a whole.
func ending(out string) string {
	if i := strings.LastIndex(out, "\ncancelled: "); i >= 0 {
		return out[i+1:]
	}
	return ""
}

// deployment is an app of one test.
type deployment struct {
	t   *testing.T
	lab *lab.Lab
	app string
}

func (d *deployment) deploy(version string, args ...string) *process {
	args = append([]string{"bluegreen", "image=mepc/app:" + version, "app=" + d.app, "host=" + d.app, "health=/health"}, args...)
	// Of a parameter given twice, ours is the first.
	seen := map[string]bool{}
	var once []string
	for i := len(args) - 1; i >= 0; i-- {
		name, _, _ := strings.Cut(args[i], "=")
		if !seen[name] {
			once = append([]string{args[i]}, once...)
		}
		seen[name] = true
	}
	return start(d.t, d.lab, d.t.TempDir(), once...)
}

func (d *deployment) must(code int, p *process) string {
	d.t.Helper()
	return p.wait(code)
}

// traffic returns the backends of the app's host.
func (d *deployment) traffic() []string {
	d.t.Helper()
	r, err := d.lab.Redis.Client()
	if err != nil {
		d.t.Fatal(err)
	}
	defer r.Close()
	list, err := r.LRange(d.t.Context(), "frontend:"+d.app, 1, -1).Result()
	if err != nil || len(list) == 0 {
		d.t.Fatalf("frontend:%s: %v, %v", d.app, list, err)
	}
	return list
}

// serves fails the test unless each backend answers.
func (d *deployment) serves(backends []string) {
	d.t.Helper()
	for _, url := range backends {
		c := &http.Client{Timeout: 5 * time.Second}
		res, err := c.Get(url + "/health")
		if err != nil {
			d.t.Errorf("traffic goes to %s, which does not answer: %v", url, err)
			continue
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			d.t.Errorf("traffic goes to %s, which answers %s", url, res.Status)
		}
	}
}

// containers returns the state of each of the app's containers.
func (d *deployment) containers() map[string]string {
	d.t.Helper()
	cli, err := d.lab.Engine.Client()
	if err != nil {
		d.t.Fatal(err)
	}
	defer cli.Close()
	list, err := cli.ContainerList(d.t.Context(), container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", "mepc.app="+d.app)),
	})
	if err != nil {
		d.t.Fatal(err)
	}
	states := map[string]string{}
	for _, c := range list {
		states[strings.TrimPrefix(c.Names[0], "/")] = c.State
	}
	return states
}

// process is a mepc-run under way.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}

	mu   sync.Mutex
	more *sync.Cond
	out  bytes.Buffer
	seen int // how much of out was waited for
	end  bool
}

// start runs mepc-run in dir, against the lab's servers.
func start(t *testing.T, l *lab.Lab, dir string, args ...string) *process {
	t.Helper()
	p := &process{t: t, done: make(chan struct{})}
	p.more = sync.NewCond(&p.mu)
	p.cmd = exec.Command("mepc-run", args...)
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "HOME="+dir,
		"DOCKER_HOST="+l.Engine.Host(), "REDIS_URL="+l.Redis.URL())
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(60*time.Second, func() { p.cmd.Process.Kill() })
	go func() {
		defer close(p.done)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			p.mu.Lock()
			fmt.Fprintln(&p.out, lines.Text())
			p.mu.Unlock()
			p.more.Broadcast()
		}
		p.cmd.Wait()
		timer.Stop()
		p.mu.Lock()
		p.end = true
		p.mu.Unlock()
		p.more.Broadcast()
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

// waitFor returns when a line of stderr, after those that were waited for
// before, matches re.
func (p *process) waitFor(re string) {
	p.t.Helper()
	want := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d ` + re)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if at := want.FindIndex(p.out.Bytes()[p.seen:]); at != nil {
			p.seen += at[1]
			return
		}
		if p.end {
			p.t.Fatalf("it ended without %q:\n%s", re, p.out.String())
		}
		p.more.Wait()
	}
}

// waitSent returns when the process has written n bytes, wherever to.
func (p *process) waitSent(n int) {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		counts, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.cmd.Process.Pid))
		if err != nil || time.Now().After(deadline) {
			p.t.Fatalf("it did not write %d bytes: %v", n, err)
		}
		var read, written int
		if _, err := fmt.Sscanf(string(counts), "rchar: %d\nwchar: %d", &read, &written); err != nil {
			p.t.Fatal(err)
		}
		if written >= n {
			return
		}
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// wait returns what was written when the process has ended with code.
func (p *process) wait(code int) string {
	p.t.Helper()
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Fatalf("exit code %d, want %d:\n%s", got, code, p.out.String())
	}
	return p.out.String()
}

func sparse(t *testing.T, name string, size int64) {
	t.Helper()
	write(t, name, "")
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
