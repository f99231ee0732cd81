package router

import (
	"math"
	"time"
)

// stats counts what one backend, or one frontend, has done. The table's lock
// guards it.
type stats struct {
	inFlight int
	total    uint64 // begun, those in flight included
	errors   uint64 // every failure below
	byKind   map[mishap]uint64
	last     time.Time // when the last one began
	latency  latencies
	all      histogram
}

// mishap says how a backend failed a request; empty is not at all.
type mishap string

const (
	failDial    mishap = "dial"    // could not connect; nothing was sent
	failTimeout mishap = "timeout" // no response header in time
	failCut     mishap = "cut"     // the connection broke before the response was complete
	failStatus  mishap = "5xx"     // it answered with a 5xx status
	failEmpty   mishap = "empty"   // a frontend had no backend to send to
	failNone    mishap = ""
)

func (s *stats) begin(now time.Time) {
	s.inFlight++
	s.total++
	s.last = now
}

// end records a request's outcome. wait is the time to the response header, zero
// when none came.
func (s *stats) end(now time.Time, f mishap, wait time.Duration) {
	s.inFlight--
	if wait > 0 {
		s.latency.record(now, wait)
		s.all.record(wait)
	}
	if f == failNone {
		return
	}
	s.errors++
	if s.byKind == nil {
		s.byKind = make(map[mishap]uint64)
	}
	s.byKind[f]++
}

// Latencies are kept in buckets that grow by a tenth, from 50 us to over 100 s,
// so a quantile is right to within 5 %. Two sets of buckets take turns every
// window; quantiles are over both, that is over the last 30 to 60 seconds.
const (
	latencyMin     = 50 * time.Microsecond
	latencyGrowth  = 1.1
	latencyBuckets = 154
	latencyWindow  = 30 * time.Second
)

type latencies struct {
	now, before *[latencyBuckets]uint32
	began       time.Time
}

func bucketOf(d time.Duration) int {
	if d <= latencyMin {
		return 0
	}
	i := int(math.Log(float64(d)/float64(latencyMin))/math.Log(latencyGrowth)) + 1
	return min(i, latencyBuckets-1)
}

// bucketValue is the middle, by ratio, of what a bucket holds.
func bucketValue(i int) time.Duration {
	return time.Duration(float64(latencyMin) * math.Pow(latencyGrowth, float64(i)-0.5))
}

// rotate brings the two sets up to date. One allocation serves an idle backend
// for ever: none is made before the first record.
func (l *latencies) rotate(now time.Time) {
	if l.now == nil {
		return
	}
	switch age := now.Sub(l.began); {
	case age < latencyWindow:
		return
	case age < 2*latencyWindow:
		l.now, l.before = l.before, l.now
		clear(l.now[:])
	default:
		clear(l.now[:])
		clear(l.before[:])
	}
	l.began = now
}

func (l *latencies) record(now time.Time, d time.Duration) {
	if l.now == nil {
		l.now, l.before = new([latencyBuckets]uint32), new([latencyBuckets]uint32)
		l.began = now
	}
	l.rotate(now)
	l.now[bucketOf(d)]++
}

// quantiles returns the values below which the given fractions of the recent
// latencies lie, and how many those are.
func (l *latencies) quantiles(now time.Time, fractions ...float64) ([]time.Duration, uint64) {
	out := make([]time.Duration, len(fractions))
	l.rotate(now)
	if l.now == nil {
		return out, 0
	}
	var n uint64
	for i := range l.now {
		n += uint64(l.now[i]) + uint64(l.before[i])
	}
	if n == 0 {
		return out, 0
	}
	for k, f := range fractions {
		rank := uint64(math.Ceil(f * float64(n)))
		var seen uint64
		for i := range l.now {
			seen += uint64(l.now[i]) + uint64(l.before[i])
			if seen >= max(rank, 1) {
				out[k] = bucketValue(i)
				break
			}
		}
	}
	return out, n
}
