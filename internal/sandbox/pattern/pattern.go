// Package pattern matches Lua 5.1 patterns: %a and its kin, sets, %b, %f,
// captures and position captures, with Lua's own error texts.
//
// It exists because backtracking patterns take exponential time and the
// matcher that comes with the VM cannot be interrupted: this one reports the
// work that it does, a batch at a time, to a function that may end it.
//
// Start with New and Match.
package pattern

import "strings"

const (
	maxCaptures = 32
	// maxDepth bounds the recursion, which a pattern of many `x?` or captures
	// drives; C Lua 5.1 lets it run into the C stack.
	maxDepth = 5000
	// batch is the number of steps between two calls of Matcher.charge.
	batch = 512

	unfinished = -1 // length of a capture that is still open
	position   = -2 // length of a position capture
)

// Error is a malformed pattern.
type Error string

// Error returns the text that C Lua gives.
func (e Error) Error() string { return string(e) }

// Matcher matches one pattern against one subject.
type Matcher struct {
	src, pat string
	charge   func(steps int)
	left     int
	depth    int
	level    int
	capture  [maxCaptures]struct{ start, len int }
}

// New returns a matcher of pat on src. charge, when not nil, is called with the
// work done; it ends the match by panicking, and the panic passes through.
func New(src, pat string, charge func(steps int)) *Matcher {
	// A NUL ends a Lua 5.1 pattern; %z stands for one.
	if i := strings.IndexByte(pat, 0); i >= 0 {
		pat = pat[:i]
	}
	return &Matcher{src: src, pat: pat, charge: charge, left: batch}
}

// Anchored reports whether the pattern starts with ^, which find, match and
// gsub honour and gmatch does not.
func (m *Matcher) Anchored() bool { return strings.HasPrefix(m.pat, "^") }

// Match matches at byte offset s of the subject and only there, with the
// pattern from its offset p on (1 to skip an anchor). It returns where the
// match ends, or -1.
func (m *Matcher) Match(s, p int) (end int, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(Error)
			if !ok {
				panic(r)
			}
			end, err = -1, e
		}
	}()
	m.level, m.depth = 0, 0
	return m.match(s, p), nil
}

// Flush charges the steps of the batch that has begun, so that a count is
// exact at the end of a call.
func (m *Matcher) Flush() {
	if m.charge != nil && m.left < batch {
		n := batch - m.left
		m.left = batch
		m.charge(n)
	}
}

// Captures returns how many captures the last match has.
func (m *Matcher) Captures() int { return m.level }

// Capture returns capture i, from 0: its text, or for a position capture its
// 1-based position. With no captures, capture 0 is the whole match from s to e.
func (m *Matcher) Capture(i, s, e int) (text string, pos int, isPos bool, err error) {
	if i >= m.level {
		if i != 0 {
			return "", 0, false, Error("invalid capture index")
		}
		return m.src[s:e], 0, false, nil
	}
	c := m.capture[i]
	switch c.len {
	case unfinished:
		return "", 0, false, Error("unfinished capture")
	case position:
		return "", c.start + 1, true, nil
	}
	return m.src[c.start : c.start+c.len], 0, false, nil
}

// Plain reports whether pat has no special characters, so that a plain search
// finds the same.
func Plain(pat string) bool {
	if i := strings.IndexByte(pat, 0); i >= 0 {
		pat = pat[:i] // as C's strpbrk sees it
	}
	return !strings.ContainsAny(pat, "^$*+?.([%-")
}

func (m *Matcher) fail(text string) { panic(Error(text)) }

func (m *Matcher) step() {
	m.left--
	if m.left <= 0 {
		m.left = batch
		if m.charge != nil {
			m.charge(batch)
		}
	}
}

// at returns the pattern's byte at i, and 0 at its end, as C strings do.
func (m *Matcher) at(i int) byte {
	if i < len(m.pat) {
		return m.pat[i]
	}
	return 0
}

// char is at for the subject.
func (m *Matcher) char(i int) byte {
	if i < len(m.src) {
		return m.src[i]
	}
	return 0
}
