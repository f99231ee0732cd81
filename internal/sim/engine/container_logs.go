package engine

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// containerLogs sends the log in the engine's frames, or raw for a terminal.
func containerLogs(c *call) (reply, error) {
	now := c.timeline.Lock()
	box, err := c.e.find(c.name)
	c.timeline.Unlock()
	if err != nil {
		return reply{}, err
	}
	l := logReader{
		stdout: c.flag("stdout"), stderr: c.flag("stderr"), timestamps: c.flag("timestamps"), tty: box.config.Tty,
	}
	if !l.stdout && !l.stderr {
		return reply{}, badRequest("Bad parameters: you must choose at least one stream")
	}
	if l.since, err = parseTime(c.query.Get("since"), now); err != nil {
		return reply{}, badRequest("%v", err)
	}
	if l.until, err = parseTime(c.query.Get("until"), now); err != nil {
		return reply{}, badRequest("%v", err)
	}
	tail := -1
	if n, err := strconv.Atoi(c.query.Get("tail")); err == nil && n >= 0 {
		tail = n
	}
	c.timeline.Lock()
	sent := len(box.logs)
	b := l.text(box.logs, tail)
	c.timeline.Unlock()
	r := reply{status: http.StatusOK, body: b}
	if !c.flag("follow") {
		return r, nil
	}
	first := true
	r.body, r.stream = nil, &followBody{timeline: c.timeline, ctx: c.ctx, next: func(time.Time) ([]byte, bool) {
		out := l.text(box.logs[sent:], -1)
		sent = len(box.logs)
		if first {
			out = append(b, out...)
			first = false
		}
		return out, !box.running() && box.status != restarting || c.e.containers[box.id] != box
	}}
	return r, nil
}

// logReader holds what is asked for of a log.
type logReader struct {
	stdout, stderr, timestamps, tty bool
	since, until                    time.Time
}

func (l logReader) text(lines []logLine, tail int) []byte {
	var picked []logLine
	for _, line := range lines {
		if line.stderr && !l.stderr || !line.stderr && !l.stdout ||
			!l.since.IsZero() && line.at.Before(l.since) || !l.until.IsZero() && line.at.After(l.until) {
			continue
		}
		picked = append(picked, line)
	}
	if tail >= 0 && len(picked) > tail {
		picked = picked[len(picked)-tail:]
	}
	var out []byte
	for _, line := range picked {
		text := line.text + "\n"
		if l.timestamps {
			text = line.at.UTC().Format("2006-01-02T15:04:05.000000000Z07:00") + " " + text
		}
		if l.tty {
			out = append(out, text...)
		} else {
			out = append(out, frame(line.stderr, text)...)
		}
	}
	return out
}

// parseTime reads a Unix time with a fraction, RFC 3339, or a duration before now.
func parseTime(s string, now time.Time) (time.Time, error) {
	if s == "" || s == "0" {
		return time.Time{}, nil
	}
	sec, frac, _ := strings.Cut(s, ".")
	if n, err := strconv.ParseInt(sec, 10, 64); err == nil {
		nanos, _ := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
		return time.Unix(n, nanos).UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("strconv.ParseInt: parsing %q: invalid syntax", s)
}
