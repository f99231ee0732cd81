package runtime

import (
	"fmt"
	"strings"

	"github.com/agext/levenshtein"
)

// DidYouMean returns `; did you mean "x"?` for the name closest to wrong, or
// the empty string when none is close.
func DidYouMean(wrong string, names []string) string {
	best, distance := "", max(2, len(wrong)/3)+1
	for _, name := range names {
		d := levenshtein.Distance(strings.ToLower(wrong), strings.ToLower(name), nil)
		if d < distance || d == distance && best != "" && name < best {
			best, distance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
