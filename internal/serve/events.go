package serve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/queue"
)

const (
	// tick is the interval between looks at a journal that somebody watches.
	tick = 150 * time.Millisecond
	// beat is after how many ticks without news a comment is sent: what stands
	// between us and the reader must not take the silence for an end.
	beat = 100
)

// events sends the records of a run as they are written. Its request may still
// wait: the records come when it runs. A run that is resumed is another run.
func (s *Server) events(c *call) (any, error) {
	id := c.PathValue("id")
	after, _ := strconv.Atoi(c.Header.Get("Last-Event-ID")) // 0: from the beginning
	tail := s.opts.Journal.Follow(id)
	defer tail.Close()
	out := newSSE(c.w)
	begun := after > 0
	for quiet := 0; ; quiet++ {
		records, over, err := tail.Next()
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			if r.N > after {
				out.send(strconv.Itoa(r.N), string(r.Type), r)
			}
			begun, quiet = true, 0
		}
		e, asked := s.opts.Queue.Get(id)
		switch {
		case over, asked && e.State == queue.Done && len(records) == 0:
			out.send("", "over", e)
			return nil, out.flush()
		case !asked && !begun:
			return nil, failure.New(failure.NotFound, "no run %s", id)
		case quiet == 0:
			out.comment() // the header goes at once
		case quiet%beat == 0:
			out.comment()
		}
		if err := out.flush(); err != nil {
			return nil, nil // the reader has gone
		}
		select {
		case <-s.ending.Done():
			return nil, nil
		default:
		}
		if s.opts.Clock.Sleep(c.Context(), tick) != nil {
			return nil, nil
		}
	}
}

// sse writes server-sent events.
type sse struct {
	w   http.ResponseWriter
	rc  *http.ResponseController
	err error
}

func newSSE(w http.ResponseWriter) *sse { return &sse{w: w, rc: http.NewResponseController(w)} }

// begin sends the header: before it, an error can still be answered.
func (s *sse) begin() {
	h := s.w.Header()
	if h.Get("Content-Type") != "" {
		return
	}
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	s.err = s.rc.SetWriteDeadline(time.Time{}) // a stream has no end
}

func (s *sse) send(id, event string, v any) {
	s.begin()
	data, err := json.Marshal(v)
	if err != nil {
		s.err = err
	}
	if s.err != nil {
		return
	}
	if id != "" {
		_, s.err = fmt.Fprintf(s.w, "id: %s\n", id)
	}
	if s.err == nil {
		_, s.err = fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", event, data)
	}
}

func (s *sse) comment() {
	s.begin()
	if s.err == nil {
		_, s.err = fmt.Fprint(s.w, ":\n\n")
	}
}

func (s *sse) flush() error {
	if s.err != nil {
		return s.err
	}
	return s.rc.Flush()
}
