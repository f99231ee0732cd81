package ship

import (
	"compress/gzip"
	"io"
	"time"
)

// Gzip compresses what is written to it. Begun as Stored it packs without
// compressing until the link turns out to be slow: then it goes on with a further
// gzip member, compressed at the fastest level. It unpacks like any other gzip.
type Gzip struct {
	w    io.Writer
	now  func() time.Time
	z    *gzip.Writer
	fast bool // compressed

	begun  time.Time // of the sample
	waited time.Duration
	passed int64
}

const (
	// slowLink is the highest rate of a link, in bytes a second, for compression to
	// be worth its time: some 350 Mbit/s.
	slowLink = 44 << 20
	// sample is after how many bytes the link is judged, again and again.
	sample = 4 << 20
)

// NewGzip returns a Gzip that compresses from the start.
func NewGzip(w io.Writer) *Gzip { return newGzip(w, nil, true) }

// NewAutoGzip returns a Gzip that decides by what now says of the time that w takes.
func NewAutoGzip(w io.Writer, now func() time.Time) *Gzip { return newGzip(w, now, false) }

func newGzip(w io.Writer, now func() time.Time, fast bool) *Gzip {
	g := &Gzip{w: w, now: now, fast: fast}
	g.member()
	if now != nil {
		g.begun = now()
	}
	return g
}

// member begins the next gzip member.
func (g *Gzip) member() {
	level := gzip.NoCompression
	if g.fast {
		level = gzip.BestSpeed
	}
	g.z, _ = gzip.NewWriterLevel((*timed)(g), level) // both levels are valid
}

// timed measures how long the writer takes.
type timed Gzip

func (t *timed) Write(p []byte) (int, error) {
	if t.fast {
		return t.w.Write(p)
	}
	start := t.now()
	n, err := t.w.Write(p)
	t.waited += t.now().Sub(start)
	t.passed += int64(n)
	return n, err
}

// Write implements io.Writer.
func (g *Gzip) Write(p []byte) (int, error) {
	if !g.fast && g.passed >= sample {
		if g.slow() {
			if err := g.z.Close(); err != nil {
				return 0, err
			}
			g.fast = true
			g.member()
		}
		g.begun, g.waited, g.passed = g.now(), 0, 0
	}
	return g.z.Write(p)
}

// slow reports whether the link was what the last sample waited for.
func (g *Gzip) slow() bool {
	took := g.now().Sub(g.begun)
	return g.waited > took/2 && float64(g.passed) < slowLink*took.Seconds()
}

// Close ends the last member.
func (g *Gzip) Close() error { return g.z.Close() }
