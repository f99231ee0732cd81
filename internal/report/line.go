package report

import (
	"strings"

	"github.com/mattn/go-runewidth"

	"github.com/mepc/mepc-run/internal/say"
)

// style is the look of a span.
type style string

const (
	normal style = ""
	bold   style = say.Bold
	dim    style = say.Dim
	red    style = say.Red
	green  style = say.Green
	yellow style = say.Yellow
	cyan   style = say.Cyan
)

// span is some text in one style.
type span struct {
	text  string
	style style
}

// line is the display of one thing: spans with a space between each, and on
// the right how long it took.
type line struct {
	indent int
	spans  []span
	right  string
}

func (l *line) add(s style, texts ...string) {
	for _, t := range texts {
		if t != "" {
			l.spans = append(l.spans, span{t, s})
		}
	}
}

// after adds text that says more of the span before it, after a colon.
func (l *line) after(s style, text string) {
	if text == "" {
		return
	}
	if n := len(l.spans); n > 0 {
		l.spans[n-1].text += ":"
	}
	l.add(s, text)
}

// bracketed returns "(text)", and "" for no text.
func bracketed(text string) string {
	if text == "" {
		return ""
	}
	return "(" + text + ")"
}

// column is the column in which times end on a terminal that is wide enough: further right
// they would be too far from what they belong to.
const column = 80

// layout turns lines into rows of text.
type layout struct {
	width int // of the terminal; 0: rows of any length
	color bool
}

func (l layout) paint(s style, text string) string { return say.Paint(l.color, string(s), text) }

// inner is the number of usable columns. The last one stays free: a terminal
// whose last column was written to is in a state of its own.
func (l layout) inner() int { return max(l.width-1, 10) }

// fit returns the line as exactly one row, cut off where it is too long.
func (l layout) fit(ln line) string {
	right, room := l.split(ln)
	var b strings.Builder
	indent := min(ln.indent, room/2)
	b.WriteString(strings.Repeat(" ", indent))
	used := indent
	for i, s := range ln.spans {
		if i > 0 && used < room {
			b.WriteByte(' ')
			used++
		}
		if used >= room {
			break
		}
		text := runewidth.Truncate(s.text, room-used, "...")
		if room-used <= 3 && text != s.text {
			break
		}
		b.WriteString(l.paint(s.style, text))
		used += cells(text)
	}
	return b.String() + l.rightOf(right, used)
}

// split returns the line's right part and the columns that are left for the
// rest. A terminal too narrow for both goes without the right part.
func (l layout) split(ln line) (right string, room int) {
	const narrow = 24
	if ln.right == "" || l.inner() < narrow {
		return "", l.inner()
	}
	return ln.right, l.inner() - cells(ln.right) - 2
}

// rightOf returns the right part of a row whose first columns are used.
func (l layout) rightOf(right string, used int) string {
	if right == "" {
		return ""
	}
	edge := column
	if l.width > 0 {
		edge = min(edge, l.inner())
	}
	return strings.Repeat(" ", max(edge-used-cells(right), 2)) + l.paint(dim, right)
}

// wrap returns the line as one row or more, of which the first has the right
// part and the others are indented further.
func (l layout) wrap(ln line) []string {
	if l.width <= 0 {
		return []string{l.unlimited(ln)}
	}
	w := wrapper{layout: l}
	w.right, w.room = l.split(ln)
	w.indent = min(ln.indent, w.room/2)
	w.begin(w.indent)
	for i, s := range ln.spans {
		for j, word := range strings.Split(s.text, " ") {
			w.word(word, s.style, i > 0 || j > 0)
		}
	}
	w.end()
	return w.rows
}

// unlimited returns the line as one row, however long.
func (l layout) unlimited(ln line) string {
	parts := make([]string, len(ln.spans))
	for i, s := range ln.spans {
		parts[i] = l.paint(s.style, s.text)
	}
	row := strings.Repeat(" ", ln.indent) + strings.Join(parts, " ")
	return row + l.rightOf(ln.right, cells(row))
}

// wrapper fills rows word by word.
type wrapper struct {
	layout
	indent int
	right  string // of the first row
	rows   []string
	row    strings.Builder
	room   int  // columns that row has
	used   int  // and that are taken
	filled bool // row has a word
}

func (w *wrapper) begin(indent int) {
	w.row.Reset()
	w.row.WriteString(strings.Repeat(" ", indent))
	w.used, w.filled = indent, false
}

func (w *wrapper) end() {
	w.rows = append(w.rows, w.row.String()+w.rightOf(w.right, w.used))
	w.right, w.room = "", w.inner()
	w.begin(min(w.indent+4, w.inner()/2))
}

func (w *wrapper) word(word string, s style, space bool) {
	n := cells(word)
	if w.filled && w.used+1+n > w.room {
		w.end()
		space = false
	}
	if space && (w.filled || word == "") && w.used < w.room {
		w.row.WriteByte(' ')
		w.used++
	}
	for n > w.room-w.used {
		head := runewidth.Truncate(word, w.room-w.used, "")
		if head == "" {
			break
		}
		w.row.WriteString(w.paint(s, head))
		w.used += cells(head)
		w.end()
		word = word[len(head):]
		n = cells(word)
	}
	w.row.WriteString(w.paint(s, word))
	w.used += n
	w.filled = w.filled || word != ""
}
