package report

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestCleanTextCannotDriveATerminal(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"plain", "plain"},
		{"äöü 日本 ✓ 👩‍👩‍👧", "äöü 日本 ✓ 👩‍👩‍👧"},
		{"\x1b[1;31mred\x1b[0m", "red"},
		{"up\x1b[3A", `up\x1b[3A`},
		{"\x1b]0;title\a", `\x1b]0;title\x07`},
		{"\u009b2J", `\x9b2J`},
		{"a\rb\bc\x7f", `a\rb\x08c\x7f`},
		{"tab\there", "tab    here"},
		{"bad \xff\xc3", `bad \xff\xc3`},
		{"replaced \ufffd", "replaced \ufffd"},
		{"safe\u202etxt.exe", `safe\u202etxt.exe`},
		{"two\nlines", `two\nlines`},
		{"\x1b[\x1b[31m31m", `\x1b[31m`}, // what is left when the colour is gone is still harmless
	} {
		if got := clean(test.in); got != test.want {
			t.Errorf("clean(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func FuzzCleanTextIsOneHarmlessLine(f *testing.F) {
	for _, s := range []string{"", "a\x1b[2Jb", "\x1b[\x1b[0m2J", "\xff\u202e\t\r\n", "\u009b\u0085"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if !utf8.ValidString(got) {
			t.Errorf("clean(%q) is not UTF-8: %q", s, got)
		}
		for _, r := range got {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e {
				t.Errorf("clean(%q) keeps %U: %q", s, r, got)
			}
		}
	})
}

func FuzzRowsFitTheTerminal(f *testing.F) {
	f.Add("docker.start", "app-blue", "a summary of some words", "0.38s", 40, 4)
	f.Add("日本語日本語日本語日本語", "  two  spaces", "👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧", "", 12, 30)
	f.Fuzz(func(t *testing.T, a, b, c, right string, width, indent int) {
		a, b, c = clean(a), clean(b), clean(c)
		width, indent = 1+abs(width)%200, abs(indent)%100
		if right = clean(right); len(right) > 6 {
			right = "1h02m"
		}
		ln := line{indent: indent, right: right}
		ln.add(bold, a)
		ln.after(red, b)
		ln.add(dim, c)
		l := layout{width: width, color: true}
		for _, row := range append(l.wrap(ln), l.fit(ln)) {
			if n := cells(row); n > l.inner() {
				t.Errorf("width %d: row of %d columns: %q", width, n, row)
			}
		}
		// No text is lost by folding: only spaces come and go.
		want, got := squeeze(layout{}.unlimited(ln)), squeeze(colours().ReplaceAllString(strings.Join(l.wrap(ln), ""), ""))
		if right == "" && got != want {
			t.Errorf("width %d: folded to %q, want %q", width, got, want)
		}
	})
}

func abs(n int) int { return max(n, -(n + 1)) }

func squeeze(s string) string { return strings.ReplaceAll(s, " ", "") }

func TestDurations(t *testing.T) {
	for _, test := range []struct {
		d    time.Duration
		want string
	}{
		{0, "<1ms"},
		{15600 * time.Microsecond, "15ms"},
		{386 * time.Millisecond, "0.38s"},
		{999 * time.Millisecond, "0.99s"},
		{3249 * time.Millisecond, "3.2s"},
		{59999 * time.Millisecond, "59.9s"},
		{62 * time.Second, "1m02s"},
		{62 * time.Minute, "1h02m"},
	} {
		if got := duration(test.d); got != test.want {
			t.Errorf("duration(%v) = %q, want %q", test.d, got, test.want)
		}
	}
}

func TestALongWordIsFoldedBesideTheTime(t *testing.T) {
	ln := line{indent: 2, right: "15ms"}
	ln.add(normal, "+", strings.Repeat("x", 60))
	want := []string{
		"  +                                 15ms",
		"      " + strings.Repeat("x", 34),
		"      " + strings.Repeat("x", 26),
	}
	if got := (layout{width: 41}).wrap(ln); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	ln.spans = ln.spans[1:]
	want = []string{
		"  " + strings.Repeat("x", 32) + "  15ms",
		"      " + strings.Repeat("x", 28),
	}
	if got := (layout{width: 41}).wrap(ln); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
