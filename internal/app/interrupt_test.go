package app_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

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
	// A router that answers, and never as the sample app does ("ok").
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
			says: `was removed|does not exist`,
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
			phase: "confirm", new: []string{"expect=ok", "--router", router.URL}, after: `step +confirm`,
			signals: []os.Signal{syscall.SIGINT}, says: `points to http://\S+ again|points to http://`,
		},
		{
			phase: "drain", new: []string{"drain=20s"}, after: `step +drain`,
			signals: []os.Signal{syscall.SIGHUP}, says: `interrupted by the end of the terminal`,
		},
		{
			phase: "stop", old: []string{"env=IGNORE_SIGTERM=true"}, after: `start .*docker\.stop`,
			signals: []os.Signal{syscall.SIGINT}, moved: true, says: `run this again`,
		},
	} {
		t.Run(tc.phase, func(t *testing.T) {
			t.Parallel()
			for _, s := range tc.signals {
				if signal.Ignored(s) { // and so by what is started here, as under nohup
					t.Skipf("%v is ignored", s)
				}
			}
			d := newDeployment(t, l)
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

			if tc.phase == "health wait" && !regexp.MustCompile(`warn +interrupted by Ctrl-C \(SIGINT\): what was begun is undone`).MatchString(out) {
				t.Errorf("it does not say at once that it was interrupted:\n%s", out)
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
	d := newDeployment(t, l)
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
		p := start(t, l.Engine, l.Redis, dir, verb+".lua")
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
