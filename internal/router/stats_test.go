package router

import (
	"math"
	"testing"
	"time"
)

func TestQuantilesAreRightToFivePercent(t *testing.T) {
	var l latencies
	now := time.Unix(1_000_000, 0)
	for ms := 1; ms <= 1000; ms++ {
		l.record(now, time.Duration(ms)*time.Millisecond)
	}
	q, n := l.quantiles(now, 0.5, 0.9, 0.99)
	if n != 1000 {
		t.Errorf("%d recorded", n)
	}
	for i, want := range []float64{500, 900, 990} {
		if got := q[i].Seconds() * 1000; math.Abs(got-want)/want > 0.055 {
			t.Errorf("quantile %d is %.1f ms, want %.0f to within 5 %%", i, got, want)
		}
	}
}

func TestQuantilesForgetAfterTwoWindows(t *testing.T) {
	var l latencies
	now := time.Unix(1_000_000, 0)
	l.record(now, time.Second)
	for _, c := range []struct {
		after time.Duration
		want  uint64
	}{{29 * time.Second, 1}, {31 * time.Second, 1}, {62 * time.Second, 0}} {
		if _, n := l.quantiles(now.Add(c.after), 0.5); n != c.want {
			t.Errorf("after %v: %d remembered, want %d", c.after, n, c.want)
		}
	}
	l.record(now, time.Second)
	if _, n := l.quantiles(now.Add(time.Hour), 0.5); n != 0 {
		t.Errorf("an hour later %d are remembered", n)
	}
}

func TestEveryLatencyHasABucket(t *testing.T) {
	for _, d := range []time.Duration{0, 1, latencyMin, latencyMin + 1, time.Millisecond, time.Minute, 99 * time.Second} {
		i := bucketOf(d)
		if d <= latencyMin {
			if i != 0 {
				t.Errorf("%v is in bucket %d", d, i)
			}
			continue
		}
		if ratio := float64(bucketValue(i)) / float64(d); ratio < 0.95 || ratio > 1.055 {
			t.Errorf("%v is in bucket %d, of %v", d, i, bucketValue(i))
		}
	}
	if i := bucketOf(time.Hour); i != latencyBuckets-1 {
		t.Errorf("an hour is in bucket %d", i)
	}
}
