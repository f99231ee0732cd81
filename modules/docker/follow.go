package docker

import (
	"bytes"
	"context"
	"errors"

	"github.com/docker/docker/api/types/container"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// errFound ends the reading of a log that has what was waited for.
var errFound = errors.New("found")

// followLogs reads a log for as long as a says.
func (e *Engine) followLogs(ctx context.Context, a *logsArgs, opts container.LogsOptions) (string, error) {
	over := failure.New(failure.Timeout, "%s has passed", a.Follow)
	bounded, cancel := e.world.Clock().WithTimeout(ctx, a.Follow, over)
	defer cancel()
	out := &awaited{text: []byte(a.Contains), last: &lastBytes{most: int(a.Max)}}
	err := e.copyLogs(bounded, a.Container, opts, out)
	text := out.last.String()
	switch {
	case out.found:
		effect.Note(ctx, "found")
		return text, nil
	case ctx.Err() == nil && isKind(err, failure.Timeout): // the time to follow, and not the run's
		if a.Contains == "" {
			return text, nil
		}
		return "", notWritten(failure.New(failure.Timeout, "%s did not write %q within %s", a.Container, a.Contains, a.Follow), text)
	case err != nil:
		return "", err
	case a.Contains != "":
		return "", notWritten(failure.New(failure.Unhealthy, "%s ended and did not write %q", a.Container, a.Contains), text)
	}
	return text, nil
}

func notWritten(f *failure.Error, text string) error {
	f.Details = "the last lines of its log:\n" + lastOf(text, 20)
	if text == "" {
		f.Details = "its log is empty"
	}
	return f
}

// lastOf returns the last n lines of text.
func lastOf(text string, n int) string {
	b := bytes.TrimRight([]byte(text), "\n")
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == '\n' {
			if n--; n == 0 {
				return string(b[i+1:])
			}
		}
	}
	return string(b)
}

// awaited keeps the end of a log, and ends its reading at the end of the line
// that has the text.
type awaited struct {
	text []byte
	line []byte // the one that is not whole yet
	last *lastBytes

	found bool
}

// longestLine is how much of a line is searched.
const longestLine = 1 << 20

func (w *awaited) Write(p []byte) (int, error) {
	if len(w.text) == 0 {
		return w.last.Write(p)
	}
	for rest := p; len(rest) > 0; {
		n := bytes.IndexByte(rest, '\n') + 1
		whole := n > 0
		if !whole {
			n = len(rest)
		}
		_, _ = w.last.Write(rest[:n]) // never fails
		if len(w.line) < longestLine {
			w.line = append(w.line, rest[:n]...)
		}
		rest = rest[n:]
		if !whole {
			break
		}
		if bytes.Contains(w.line, w.text) {
			w.found = true
			return 0, errFound
		}
		w.line = w.line[:0]
	}
	return len(p), nil
}
