package pattern

import (
	"strings"
	"testing"
)

func TestWorkIsCharged(t *testing.T) {
	total := 0
	m := New(strings.Repeat("a", 26), strings.Repeat("a-", 8)+"b", func(n int) { total += n })
	if end, err := m.Match(0, 0); end != -1 || err != nil {
		t.Fatal(end, err)
	}
	m.Flush()
	if total < 1_000_000 {
		t.Errorf("a backtracking match was charged %d steps", total)
	}
	before := total
	m = New("abc", "b", func(n int) { total += n })
	_, _ = m.Match(1, 0)
	m.Flush()
	m.Flush()
	if total-before != 2 {
		t.Errorf("matching one letter was charged %d steps", total-before)
	}
}

func TestMalformedPatterns(t *testing.T) {
	for pat, want := range map[string]string{
		"%": "malformed pattern (ends with '%')", "[a": "malformed pattern (missing ']')", "[]": "malformed pattern (missing ']')",
		"[^": "malformed pattern (missing ']')", "(": "", "a)": "invalid pattern capture", "%1": "invalid capture index",
		"%f": "missing '[' after '%f' in pattern", "%b": "unbalanced pattern", "%bx": "unbalanced pattern",
		strings.Repeat("()", 33): "too many captures", strings.Repeat("a?", 6000): "pattern too complex",
	} {
		_, err := New("aaaa"+strings.Repeat("a", 6000), pat, nil).Match(0, 0)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%.20q: %q, want %q", pat, got, want)
		}
	}
}

func TestCaptures(t *testing.T) {
	m := New("key=value", "^(%w+)()=(.*)$", nil)
	end, err := m.Match(0, 1)
	if end != 9 || err != nil || m.Captures() != 3 || !m.Anchored() {
		t.Fatal(end, err, m.Captures())
	}
	if s, _, _, _ := m.Capture(0, 0, end); s != "key" {
		t.Error(s)
	}
	if _, pos, isPos, _ := m.Capture(1, 0, end); pos != 4 || !isPos {
		t.Error(pos)
	}
	if _, _, _, err := m.Capture(5, 0, end); err == nil || err.Error() != "invalid capture index" {
		t.Error(err)
	}
	m = New("x", "(x", nil)
	end, _ = m.Match(0, 0)
	if _, _, _, err := m.Capture(0, 0, end); err == nil || err.Error() != "unfinished capture" {
		t.Error(err)
	}
}

func TestPlain(t *testing.T) {
	if !Plain("abc") || !Plain("a)b") || Plain("a.b") || Plain("a-") || !Plain("a\x00.") {
		t.Error("Plain is wrong")
	}
}
