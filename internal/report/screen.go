package report

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// screen keeps an area of lines at the bottom of a terminal, below what scrolls
// away. It knows no more of the terminal than how to go up and how to erase;
// between two draws the cursor stands at the start of the line below the area.
type screen struct {
	size  func() (width, height int)
	shown []string // the area as it was drawn last
	width int      // and the terminal's width then
}

// The sequences that are used: erase from the cursor to the end of the line, and
// to the end of the screen.
const (
	eraseLine = "\x1b[K"
	eraseDown = "\x1b[J"
)

// draw replaces the area, with the chunks printed above it. Lines are written
// over the old ones, not after an erasure, so that nothing flickers.
func (s *screen) draw(chunks []chunk, area []string, out, err *stream) {
	width, _ := s.size()
	if len(chunks) == 0 && slices.Equal(area, s.shown) && (width == s.width || len(area) == 0) {
		return
	}
	var b bytes.Buffer
	s.home(&b, width)
	for _, c := range chunks {
		if c.toOut {
			b.WriteString(eraseDown)
			err.write(b.Bytes())
			b.Reset()
			out.write([]byte(c.text))
			continue
		}
		b.WriteString(strings.ReplaceAll(c.text, "\n", eraseLine+"\n"))
	}
	for _, line := range area {
		b.WriteString(line + eraseLine + "\n")
	}
	b.WriteString(eraseDown)
	err.write(b.Bytes())
	s.shown, s.width = area, width
}

// home goes to the first line of the area. When the terminal was made narrower,
// it has folded the lines of the area, and there are more rows to go up.
func (s *screen) home(b *bytes.Buffer, width int) {
	rows := 0
	for _, line := range s.shown {
		rows += max(1, (cells(line)+width-1)/max(1, width))
	}
	if rows > 0 {
		fmt.Fprintf(b, "\r\x1b[%dA", rows)
	}
}
