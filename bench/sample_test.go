package bench

import (
	"math"
	"slices"
	"testing"
	"time"
)

// sample holds one figure's value in each round.
type sample []float64

func (s *sample) add(v float64)             { *s = append(*s, v) }
func (s *sample) addMillis(d time.Duration) { s.add(float64(d) / float64(time.Millisecond)) }
func (s *sample) addMegabytes(n int64)      { s.add(float64(n) / 1e6) }
func (s sample) median() float64            { return s.quantile(0.5) }
func (s sample) max() float64               { return s.quantile(1) }
func (s sample) over(other sample) sample {
	return s.with(other, func(a, b float64) float64 { return a / b })
}

func (s sample) minus(other sample) sample {
	return s.with(other, func(a, b float64) float64 { return a - b })
}

// less subtracts what is the same in each round.
func (s sample) less(v float64) sample {
	return s.with(s, func(a, _ float64) float64 { return a - v })
}

// with joins two samples round by round.
func (s sample) with(other sample, f func(a, b float64) float64) sample {
	out := make(sample, len(s))
	for i := range s {
		out[i] = f(s[i], other[i])
	}
	return out
}

// quantile interpolates between the two nearest values. Of nothing it is NaN.
func (s sample) quantile(q float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

func TestQuantilesLieBetweenTheNearestValues(t *testing.T) {
	s := sample{4, 1, 3, 2}
	for q, want := range map[float64]float64{0: 1, 0.25: 1.75, 0.5: 2.5, 1: 4} {
		if got := s.quantile(q); got != want {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
	if got := (sample{8, 9}).over(sample{2, 3}).median(); got != 3.5 {
		t.Errorf("the median of the ratios is %v, want 3.5", got)
	}
}

// used is the usage of one of the compared programs, round by round.
type used struct{ wall, cpu, peak sample }

func (u *used) add(v Usage) {
	u.wall.addMillis(v.Wall)
	u.cpu.addMillis(v.CPU)
	u.peak.addMegabytes(v.Peak)
}

// turn calls each function once, beginning with another one each round: what
// runs first after a pause, or after a large write, is at a disadvantage.
func turn(round int, each ...func()) {
	for i := range each {
		each[(round+i)%len(each)]()
	}
}

// figures reports metrics in place of the time of an op, which here is that of
// a whole round.
func figures(b *testing.B, metrics map[string]float64) {
	b.ReportMetric(0, "ns/op")
	for unit, v := range metrics {
		b.ReportMetric(v, unit)
	}
}
