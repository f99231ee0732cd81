package report

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/report/lines"
)

// colours matches the sequences that select colours. They are the one kind that
// can be left out without hiding anything.
var colours = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\x1b\[[0-9;:]*m`) })

// clean returns s as one line of text that no terminal obeys: colours are
// dropped, a tab becomes four spaces, other control and format characters (also
// those that reverse the direction of writing) and bytes that are not UTF-8
// become escapes.
func clean(s string) string {
	if strings.IndexFunc(s, unsafe) < 0 {
		return s
	}
	s = colours().ReplaceAllString(s, "")
	var b strings.Builder
	for i, n := 0, 0; i < len(s); i += n {
		var r rune
		r, n = utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == utf8.RuneError:
			b.WriteRune(r)
		case r == '\t':
			b.WriteString("    ")
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case !unsafe(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// unsafe reports whether r must not reach a terminal as it is. Joiners are kept:
// scripts and emoji need them.
func unsafe(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return r == utf8.RuneError || !unicode.IsGraphic(r) && r != nonJoiner && r != joiner
}

// cleanLines returns the lines of s, each of them cleaned, without empty ones at
// the end.
func cleanLines(s string) []string {
	s = strings.TrimRight(s, "\r\n")
	if s == "" {
		return nil
	}
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = clean(strings.TrimSuffix(lines[i], "\r"))
	}
	return lines
}

// cleanOutput is clean for what the recipe prints, whose newlines and tabs are
// meant.
func cleanOutput(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		fields := strings.Split(lines[i], "\t")
		for j := range fields {
			fields[j] = clean(fields[j])
		}
		lines[i] = strings.Join(fields, "\t")
	}
	return strings.Join(lines, "\n")
}

// cells returns how many columns s takes on a terminal, colours not counted.
func cells(s string) int {
	if strings.Contains(s, "\x1b[") {
		s = colours().ReplaceAllString(s, "")
	}
	return runewidth.StringWidth(s)
}

// duration returns d as people read it: 15ms, 0.38s, 3.2s, 1m02s, 1h02m.
func duration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "<1ms"
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Second:
		return fmt.Sprintf("%.2fs", d.Truncate(10*time.Millisecond).Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
}

// effects returns "1 effect", "7 effects".
func effects(n int) string {
	if n == 1 {
		return "1 effect"
	}
	return fmt.Sprintf("%d effects", n)
}

// message returns what went wrong in one line, without the call it belongs to.
func message(err error) string {
	text := err.Error()
	if e := failure.As(err); e != nil {
		text = e.Message
	}
	if lines := cleanLines(text); len(lines) > 0 {
		return lines[0]
	}
	return "no message"
}

// steps returns a path of steps as one text.
func steps(path []string) string { return clean(strings.Join(path, " > ")) }

// Clean returns s as one line that cannot drive a terminal, for what is shown of
// runs elsewhere.
func Clean(s string) string { return clean(s) }

// Duration returns d as reports show it.
func Duration(d time.Duration) string { return duration(d) }

// Status says in a word how a run with this number of effects ended: ok, unchanged,
// failed, cancelled.
func Status(err error, effects int) string { return lines.Status(err, effects) }
