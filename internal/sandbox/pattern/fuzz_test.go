package pattern

import (
	"errors"
	"testing"
)

var errBudget = errors.New("budget")

// FuzzMatch looks for patterns that crash the matcher or escape its charge.
func FuzzMatch(f *testing.F) {
	for _, s := range [][2]string{
		{"hello", "l+"},
		{"key = value", "^(%w+)%s*=%s*(%w+)$"},
		{"f(a(b)c)d", "%b()"},
		{"THE (q) fox", "%f[%a]%a+"},
		{"abab", "(ab)%1"},
		{"x", "[]]"},
		{"x", "[^"},
		{"x", "%"},
		{"", ".-b"},
		{"aaaa", "a-a-a-a-b"},
		{"a", "[a-]"},
		{"-", "[%a-z]"},
		{"x", "()()%2"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, src, pat string) {
		if len(src) > 300 || len(pat) > 200 {
			return
		}
		total := 0
		m := New(src, pat, func(n int) {
			if total += n; total > 1_000_000 {
				panic(errBudget)
			}
		})
		defer func() {
			if r := recover(); r != nil && r != errBudget {
				panic(r)
			}
		}()
		for at := 0; at <= len(src); at++ {
			end, err := m.Match(at, 0)
			if err != nil || end < 0 {
				continue
			}
			if end < at || end > len(src) {
				t.Fatalf("match of %q at %d ends at %d of %d", pat, at, end, len(src))
			}
			for i := range m.Captures() {
				m.Capture(i, at, end)
			}
		}
		m.Flush()
	})
}
