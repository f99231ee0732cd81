package e2e

import (
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// canary are the arguments of a canary of version.
func (s *stage) canary(version string, more ...string) []string {
	args := s.args(version, append([]string{"every=200ms", "bake=1.5s", "min_requests=5"}, more...)...)
	args[slices.Index(args, "../recipes/bluegreen.lua")] = "../recipes/canary.lua"
	return args
}

func TestCanaryUnderLoad(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	l := s.load()
	r := s.exec(s.canary("1.1", "steps=10,50")...)
	l.end()
	if r.Code != 0 {
		t.Fatal(r)
	}
	s.serves("1.1", 1)
	s.mentions(r.Stderr, "requests failed")
}

func TestCanaryThatDiesIsTakenBack(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	wait := s.begin(s.canary("1.1", "steps=50", "bake=30s", "restart=no")...)
	s.eventually("the canary's share", func() bool { return len(s.readHipache(s.app).backends) == 2 })
	for _, name := range s.running("1.1") {
		if err := s.engine.ContainerKill(t.Context(), name, "KILL"); err != nil {
			t.Fatal(err)
		}
	}
	r := wait()
	if r.Err == nil || r.Err.Kind != "unhealthy" {
		t.Fatal(r)
	}
	s.serves("1.0", 1)
}

// TestCanarySplitsByItsWeights counts 10,000 requests through a list of 10 %.
func TestCanarySplitsByItsWeights(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	var out strings.Builder
	cmd := s.command(s.canary("1.1", "steps=10", "bake=5m")...)
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.eventually("the canary's share", func() bool { return len(s.readHipache(s.app).backends) == 10 })
	const n = 10_000
	count := map[string]int{}
	hc := &http.Client{Transport: &http.Transport{}}
	for range n {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.router+"/version", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = s.app
		res, err := hc.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%d %s %v", res.StatusCode, body, err)
		}
		count[strings.TrimSpace(string(body))]++
	}
	if share := float64(count["1.1"]) / n; math.Abs(share-0.10) > 0.01 {
		t.Errorf("1.1 got %.2f %% of the requests, not 10 %%: %v", 100*share, count)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("interrupted: exit code %d\n%s", code, out.String())
	}
	s.serves("1.0", 1)
}
