package bench

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
)

const (
	rate   = 300              // requests a second
	steady = 10 * time.Second // of load before the first redeploy
	around = 250 * time.Millisecond
)

// BenchmarkRedeployUnderLoad redeploys an app again and again while requests keep
// coming through mepc-run router, each at its appointed time whether or not
// those before it are answered; every other one on a fresh connection. An op is
// a redeploy.
//
// Latencies are from the appointed time to the last byte. Those of "switch" are
// of the half second around the moment in which the routing list changed, those
// of "deploy" of all requests while a redeploy ran, when the engine works on the
// same cores.
func BenchmarkRedeployUnderLoad(b *testing.B) {
	s, run := newStage(b), newRunner(b)
	name := s.lab.Name("app")
	defer s.remove(b, name)
	deploy := func(round int) string {
		_, out := run.run(b, s.mepcRun, append([]string{"--json"},
			s.deployArgs(s.lab.Engine.Host(), name, versions[round%len(versions)], "drain=200ms")...)...)
		return out
	}
	deploy(0)

	var wall clock.Wall
	l := startLoad(b.Context(), s.url, name)
	_ = wall.Sleep(b.Context(), steady)
	calm := span{l.begin, wall.Now()}

	var deploys, switches []span
	var took sample
	for round := 1; b.Loop(); round++ {
		d := span{begin: wall.Now()}
		out := deploy(round)
		d.end = wall.Now()
		took.addMillis(d.end.Sub(d.begin))
		deploys = append(deploys, d)
		at := switchedAt(b, out)
		switches = append(switches, span{at.Add(-around), at.Add(around)})
	}
	_ = wall.Sleep(b.Context(), around)
	l.stop()

	metrics := map[string]float64{"deploy-ms": took.median(), "served": 0, "failed": 0}
	for _, r := range l.requests {
		if r.err != nil {
			metrics["failed"]++
			b.Log(r.err)
		} else {
			metrics["served"]++
		}
	}
	for part, spans := range map[string][]span{"steady": {calm}, "deploy": deploys, "switch": switches} {
		latency := l.latency(spans)
		metrics[part+"-p50-ms"], metrics[part+"-p99-ms"] = latency.median(), latency.quantile(0.99)
	}
	figures(b, metrics)
}

// switchedAt returns when the transaction that moves the traffic was done, from
// what mepc-run --json printed.
func switchedAt(b *testing.B, out string) time.Time {
	b.Helper()
	for line := range strings.Lines(out) {
		var effect struct {
			Op     string    `json:"op"`
			Time   time.Time `json:"time"`
			Millis float64   `json:"duration_ms"`
		}
		if err := json.Unmarshal([]byte(line), &effect); err != nil {
			b.Fatalf("%v: %s", err, line)
		}
		if strings.HasPrefix(effect.Op, "redis.") {
			return effect.Time.Add(time.Duration(effect.Millis * float64(time.Millisecond)))
		}
	}
	b.Fatalf("the deployment switched nothing:\n%s", out)
	return time.Time{}
}
