package report

import (
	"fmt"
	"strings"
	"sync"

	"github.com/mattn/go-runewidth"
)

// terminal is as much of one as a report needs: it obeys the sequences that the
// report may use, and complains of all others and of what does not fit.
type terminal struct {
	mu            sync.Mutex
	width, height int
	rows          []string // all that was written; the last height of them are visible
	row, col      int
	complaints    []string
}

func newTerminal(width, height int) *terminal {
	return &terminal{width: width, height: height, rows: []string{""}}
}

func (t *terminal) size() (int, int) { return t.width, t.height }

func (t *terminal) complain(format string, args ...any) {
	t.complaints = append(t.complaints, fmt.Sprintf(format, args...))
}

func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := string(p)
	for text != "" {
		if loc := colours().FindStringIndex(text); loc != nil && loc[0] == 0 {
			text = text[loc[1]:]
			continue
		}
		var up int
		switch {
		case strings.HasPrefix(text, eraseLine):
			t.rows[t.row] = t.rows[t.row][:t.col]
			text = text[len(eraseLine):]
		case strings.HasPrefix(text, eraseDown):
			t.rows[t.row] = t.rows[t.row][:t.col]
			t.rows = t.rows[:t.row+1]
			text = text[len(eraseDown):]
		case scan(text, &up):
			if t.row -= up; t.row < len(t.rows)-t.height {
				t.complain("went up %d rows, above the screen", up)
			}
			text = text[strings.IndexByte(text, 'A')+1:]
		case text[0] == '\r':
			t.col, text = 0, text[1:]
		case text[0] == '\n':
			t.col, text = 0, text[1:]
			if t.row++; t.row == len(t.rows) {
				t.rows = append(t.rows, "")
			}
		default:
			n := strings.IndexAny(text[1:], "\x1b\r\n") + 1
			if n == 0 {
				n = len(text)
			}
			t.print(text[:n])
			text = text[n:]
		}
	}
	return len(p), nil
}

func scan(text string, up *int) bool {
	_, err := fmt.Sscanf(text, "\x1b[%dA", up)
	return err == nil
}

// print overwrites what stands in the row, which is enough as long as every row
// is written from its start: col is in bytes.
func (t *terminal) print(text string) {
	for _, r := range text {
		if r < ' ' || r == 0x7f {
			t.complain("control character %U", r)
		}
	}
	old := t.rows[t.row]
	rest := ""
	if cells := runewidth.StringWidth(text); runewidth.StringWidth(old[t.col:]) > cells {
		rest = runewidth.TruncateLeft(old[t.col:], cells, "")
	}
	t.rows[t.row] = old[:t.col] + text + rest
	t.col += len(text)
	if w := runewidth.StringWidth(t.rows[t.row][:t.col]); w >= t.width {
		t.complain("%d columns: %q", w, t.rows[t.row])
	}
}

// text returns all rows.
func (t *terminal) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, r := range t.rows {
		b.WriteString(strings.TrimRight(r, " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}
