// Package say has what every part of mepc-run needs to write to people: numbers of
// things, lines of a width, colours. Start with Count.
package say

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Count returns a number of things in words: "1 file", "3 files".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Ago says how long something is past, in one unit: "5 min ago".
func Ago(d time.Duration) string {
	for _, u := range []struct {
		least time.Duration
		name  string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if d >= u.least {
			return strconv.Itoa(int(d/u.least)) + " " + u.name + " ago"
		}
	}
	return "now"
}

// NonEmpty returns the texts that are not empty.
func NonEmpty(texts ...string) []string {
	return slices.DeleteFunc(texts, func(s string) bool { return s == "" })
}

// Clip returns at most a given number of bytes of text, and marks the cut when there are more.
func Clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

// Fold breaks text into lines of at most width columns, between words. A word that is
// longer stands alone.
func Fold(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case len(*last)+1+len(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

// What switches a terminal's colours on; Off ends all of them.
const (
	Bold   = "\x1b[1m"
	Dim    = "\x1b[2m"
	Red    = "\x1b[31m"
	Green  = "\x1b[32m"
	Yellow = "\x1b[33m"
	Cyan   = "\x1b[36m"
	Off    = "\x1b[0m"
)

// Paint returns text in a colour, or as it is where there are none.
func Paint(colors bool, color, text string) string {
	if !colors || color == "" || text == "" {
		return text
	}
	return color + text + Off
}
