package engine

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// containerTop knows one process: what the container was started with.
func containerTop(c *call) (reply, error) {
	box, err := c.e.find(c.name)
	if err != nil {
		return reply{}, err
	}
	if !box.running() {
		return reply{}, conflict("Container %s is not running", box.id)
	}
	return jsonReply(http.StatusOK, struct{ Processes, Titles any }{
		[][]string{{"root", strconv.Itoa(box.pid), "1", "0", box.started.Format("15:04"), "?", "00:00:00", strings.Join(box.argv(), " ")}},
		[]string{"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"},
	})
}

// containerWait answers when the container is not running. For a condition that
// another call has yet to bring about, the answer comes in the stream, so that
// the caller can go on to make that call.
func containerWait(c *call) (reply, error) {
	c.timeline.Lock()
	box, err := c.e.find(c.name)
	var run time.Time
	if err == nil {
		run = box.finished
	}
	c.timeline.Unlock()
	if err != nil {
		return reply{}, err
	}
	condition := c.query.Get("condition")
	done := func(time.Time) bool {
		switch condition {
		case "removed":
			return c.e.containers[box.id] != box
		case "next-exit":
			return !box.finished.Equal(run) || c.e.containers[box.id] != box
		}
		return !box.running() && box.status != restarting || c.e.containers[box.id] != box
	}
	body := func() ([]byte, error) {
		if err := c.timeline.Await(c.ctx, done); err != nil {
			return nil, err
		}
		c.timeline.Lock()
		defer c.timeline.Unlock()
		b, err := json.Marshal(struct {
			Error      any
			StatusCode int
		}{nil, box.exitCode})
		return append(b, '\n'), err
	}
	if slices.Contains([]string{"removed", "next-exit"}, condition) {
		return reply{status: http.StatusOK, ctype: jsonType, stream: &lazyBody{make: body}}, nil
	}
	b, err := body()
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, ctype: jsonType, body: b}, nil
}
