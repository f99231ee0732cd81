package e2e

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mepc/mepc-run/internal/lab"
)

// Every effect of a bluegreen deployment with every fault, on a real engine and a
// real Redis, under traffic. After each, one more run ends with the wanted version
// and nothing left of the failed run; and nobody in the audience notices.
func TestMatrix(t *testing.T) {
	s, l := own(t, lab.Options{Engine: lab.EngineOptions{LiveRestore: true}, Redis: durable})
	in := inject(t, l)
	docker, redis := s.docker, s.redis
	deploy := func(version string, through bool) []string {
		s.docker, s.redis = docker, redis
		if through {
			s.docker, s.redis = in.docker, in.redis
		}
		// The run gives up before the audience's patience, and before the late fault's.
		return append([]string{"--timeout", "8s", "--grace", "5s"}, s.args(version, "keep=0")...)
	}
	s.deploy("1.0")
	in.arm(-1, "", nil)
	if r := s.exec(deploy("1.1", true)...); r.Code != 0 {
		t.Fatal(r)
	}
	effects := in.disarm()
	t.Logf("%d effects:\n\t%s", len(effects), strings.Join(effects, "\n\t"))
	audience := s.load()
	version, runs, broke := "1.1", 0, 0
	for at, effect := range effects {
		for i, what := range faults {
			if os.Getenv("E2E_MATRIX") != "all" && at != i*len(effects)/len(faults) {
				continue
			}
			next := map[string]string{"1.0": "1.1", "1.1": "1.0"}[version]
			story := fmt.Sprintf("%s at effect %d, %s", what, at+1, effect)
			code, said := s.faulty(in, at, what, deploy(next, true))
			if seen := in.disarm(); len(seen) <= at || seen[at] != effect {
				t.Errorf("%s: the run had other effects: %q\n%s", story, seen, said)
			}
			runs++
			if code != 0 {
				broke++
			}
			t.Logf("%-70s exit code %d", story, code)
			if r := s.exec(deploy(next, false)...); r.Code != 0 {
				t.Fatalf("%s: the run said\n%s\nand one more run: %s", story, said, r)
			}
			s.serves(next, 1)
			if n := s.stopped(); n != 0 {
				t.Fatalf("%s left %v", story, s.containers())
			}
			if r := s.exec(deploy(next, false)...); r.Effects != 0 {
				t.Errorf("%s: a third run had effects: %s", story, r)
			}
			if version = next; t.Failed() {
				t.Fatalf("%s: the run said\n%s", story, said)
			}
		}
	}
	audience.end()
	t.Logf("%d runs with a fault, %d of which failed", runs, broke)
}

// faulty runs mepc-run with a fault. It returns its exit code, and what it said.
func (s *stage) faulty(in *injector, at int, what fault, args []string) (code int, said string) {
	s.t.Helper()
	var out bytes.Buffer
	cmd := s.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	dead := make(chan struct{})
	in.arm(at, what, sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		<-dead
	}))
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	_ = cmd.Wait()
	close(dead)
	code = cmd.ProcessState.ExitCode()
	if killed := what == killedBefore || what == killedAfter; killed != (code == -1) || !killed && slices.Contains([]int{2, 70}, code) {
		s.t.Errorf("%s: exit code %d\n%s", what, code, out.String())
	}
	return code, out.String()
}
