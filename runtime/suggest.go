package runtime

import (
	"fmt"
	"strings"

	"github.com/agext/levenshtein"
)

// DidYouMean returns `; did you mean "x"?` for the name closest to wrong, or
// the empty string when none is close.
func DidYouMean(wrong string, names []string) string {
	if len(wrong) > maxName {
		return "" // nobody mistypes that much, and comparing takes the product of the lengths
	}
	best, distance := "", max(2, len(wrong)/3)+1
	for _, name := range names {
		if len(name) > maxName {
			continue
		}
		d := levenshtein.Distance(strings.ToLower(wrong), strings.ToLower(name), nil)
		if d < distance || d == distance && best != "" && name < best {
			best, distance = name, d
		}
	}
	if best == "" {
		best = shorter(wrong, names)
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// shorter returns the name that is short for wrong, as cmd is for command: its letters,
// in their order, from the first to the last.
func shorter(wrong string, names []string) string {
	for _, name := range names {
		if len(name) >= 3 && len(name) < len(wrong) && name[0] == wrong[0] && name[len(name)-1] == wrong[len(wrong)-1] && within(name, wrong) {
			return name
		}
	}
	return ""
}

// within reports whether text has the letters of part, in their order.
func within(part, text string) bool {
	for part != "" {
		at := strings.IndexByte(text, part[0])
		if at < 0 {
			return false
		}
		part, text = part[1:], text[at+1:]
	}
	return true
}
