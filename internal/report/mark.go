package report

import (
	"github.com/mepc/mepc-run/internal/effect"
)

// mark is the sign that opens a line.
type mark struct {
	sign, ascii string
	style       style
}

var (
	markDone      = mark{"✓", "+", green}
	markUnchanged = mark{"=", "=", dim}
	markFailed    = mark{"✗", "x", red}
	markUnknown   = mark{"?", "?", yellow}
	markOpen      = mark{"▸", ">", cyan}
	markLog       = mark{"·", "*", dim}
	markWarn      = mark{"!", "!", yellow}
)

// spinners are shown in place of a mark while something runs.
var (
	spinner      = [...]string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}
	asciiSpinner = [...]string{"|", "/", "-", "\\"}
)

func (m mark) span(ascii bool) span {
	if ascii {
		return span{m.ascii, m.style}
	}
	return span{m.sign, m.style}
}

// spin returns the spinner of the nth frame.
func spin(n int, ascii bool) span {
	if ascii {
		return span{asciiSpinner[n%len(asciiSpinner)], cyan}
	}
	return span{spinner[n%len(spinner)], cyan}
}

// outcome returns the mark and the word for how a call ended.
func outcome(o effect.Outcome) (mark, string) {
	switch o {
	case effect.OK:
		return markDone, "ok"
	case effect.Unchanged:
		return markUnchanged, "same"
	case effect.Unknown:
		return markUnknown, "unknown"
	}
	return markFailed, "failed"
}

// logMark returns the mark of a log line.
func logMark(level string) mark {
	switch level {
	case "warn":
		return markWarn
	case "error":
		return markFailed
	}
	return markLog
}

// branchLabel returns "[2]" for something in branch that stands under something
// in outer, and "" when both are in the same.
func branchLabel(branch, outer string) string {
	if branch == outer {
		return ""
	}
	return "[" + clean(branch) + "]"
}
