package prove_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/prove"
)

// BenchmarkExplore tries bluegreen, among others who deploy, against one fault. A
// plan is up to three runs of the recipe: the one with the fault and, where its
// world is not known yet, two without. cpu-us/plan is user and system time.
func BenchmarkExplore(b *testing.B) {
	s := bluegreen(b)
	explore(b, s, prove.Options{Plans: 1}) // compiles
	b.ReportAllocs()
	plans, before := 0, cpuTime()
	for b.Loop() {
		r := explore(b, s, prove.Options{})
		if len(r.Failures) > 0 {
			b.Fatal(r.Failures[0].Text)
		}
		plans += r.Tried()
	}
	used := cpuTime() - before
	b.ReportMetric(float64(plans)/b.Elapsed().Seconds(), "plans/s")
	b.ReportMetric(float64(plans)/used.Seconds(), "plans/cpu-s")
	b.ReportMetric(float64(used.Microseconds())/float64(plans), "cpu-us/plan")
	b.ReportMetric(0, "ns/op")
}

// cpuTime returns the CPU time the process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
