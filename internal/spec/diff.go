package spec

import (
	"strings"

	unified "github.com/rogpeppe/go-internal/diff"
)

// maxDiff is the maximum number of lines in a comparison.
const maxDiff = 60

// diff compares lines, with the common ones around each difference.
func diff(want, got []string) string {
	text := func(all []string) []byte { return []byte(strings.Join(all, "\n") + "\n") }
	var out []string
	_, hunks, _ := strings.Cut(string(unified.Diff("want", text(want), "got", text(got))), "\n+++ got\n")
	for line := range strings.Lines(hunks) {
		switch mark, rest := line[:1], strings.TrimSuffix(line[1:], "\n"); {
		case mark != "@":
			out = append(out, mark+" "+rest)
		case !strings.HasPrefix(rest, "@ -1,"):
			out = append(out, "  ...")
		}
		if len(out) == maxDiff {
			return strings.Join(append(out, "  ..."), "\n")
		}
	}
	return strings.Join(out, "\n")
}
