package spec

import (
	"strings"
	"testing"
)

func TestADiffShowsWhatDiffersAndAFewLinesAround(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("same\n", 20)
	for name, tc := range map[string]struct{ want, got, diff string }{
		"the first line":              {"a\nb", "x\nb", "- a\n+ x\n  b"},
		"marks of a diff in the text": {"a\n+++ got\nb", "a\n@@ -1,2\nb", "  a\n- +++ got\n+ @@ -1,2\n  b"},
		"far from the beginning":      {many + "a", many + "b", "  ...\n  same\n  same\n  same\n- a\n+ b"},
		"nothing":                     {"a", "a", ""},
	} {
		if got := diff(strings.Split(tc.want, "\n"), strings.Split(tc.got, "\n")); got != tc.diff {
			t.Errorf("%s:\n%s", name, got)
		}
	}
	if got := diff(nil, strings.Split(strings.Repeat("new\n", 1000), "\n")); strings.Count(got, "\n") != maxDiff || !strings.HasSuffix(got, "\n  ...") {
		t.Errorf("a long one:\n%s", got)
	}
}
