package docker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"

	"github.com/mepc/mepc-run/internal/failure"
)

// message is one JSON object of the streams in which the engine answers to
// build, load, pull and push. The status was 200 before the first: an error is
// a message like any other.
type message struct {
	Stream   string `json:"stream"`
	Status   string `json:"status"`
	ID       string `json:"id"` // the layer a status is about
	Progress struct {
		Current int64 `json:"current"`
		Total   int64 `json:"total"`
	} `json:"progressDetail"`
	Error  string `json:"error"`
	Detail struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"errorDetail"`
	Aux json.RawMessage `json:"aux"`
}

// failed returns what went wrong, or "".
func (m *message) failed() string {
	if m.Detail.Message != "" {
		return m.Detail.Message
	}
	return m.Error
}

// maxMessage bounds one message: a build step's line can be long, but the
// engine splits output into far smaller pieces.
const maxMessage = 4 << 20

// errNotStream is what readStream returns for something that is no stream of
// messages.
var errNotStream = errors.New("the engine's answer makes no sense")

// errStreamFailed is an error that came as a message.
type errStreamFailed struct {
	text string
	code int
}

func (e *errStreamFailed) Error() string { return e.text }

// follow is readStream for a call that changes something: the engine's own
// error is refused, and what makes no sense leaves open what was done.
func follow(r io.Reader, each func(*message)) error {
	err := readStream(r, each)
	var failed *errStreamFailed
	switch {
	case errors.As(err, &failed):
		return &failure.Error{Kind: failure.Refused, Message: failed.text, Cause: failed}
	case errors.Is(err, errNotStream):
		return failure.New(failure.Unknown, "%s", err.Error()).
			WithHint("it may or may not have taken effect: look before trying again; is there a proxy before the engine?")
	}
	return err
}

// readStream calls each for every message until the stream ends, and returns
// the first error that came as one (*errStreamFailed), once the stream is
// drained as far as it goes. A stream that is cut is io.ErrUnexpectedEOF.
func readStream(r io.Reader, each func(*message)) error {
	var failed error
	limited := &resetReader{r: r}
	dec := json.NewDecoder(limited)
	for {
		limited.left = maxMessage
		var m message
		err := dec.Decode(&m)
		if err == io.EOF {
			return failed
		}
		if err != nil {
			return streamError(err, dec)
		}
		if text := m.failed(); text != "" && failed == nil {
			failed = &errStreamFailed{text: text, code: m.Detail.Code}
			continue
		}
		each(&m)
	}
}

// streamError tells a cut stream from one that is none. What the other side
// said stands in the error: it is often a proxy's page.
func streamError(err error, dec *json.Decoder) error {
	var syntax *json.SyntaxError
	var typed *json.UnmarshalTypeError
	switch {
	case errors.Is(err, errLongMessage), errors.As(err, &typed):
		return fmt.Errorf("%w: %w", errNotStream, err)
	case errors.As(err, &syntax):
		said, _ := io.ReadAll(io.LimitReader(dec.Buffered(), 200))
		return fmt.Errorf("%w: %q", errNotStream, bytes.TrimSpace(said))
	}
	return err
}

var errLongMessage = fmt.Errorf("a message of more than %d bytes", maxMessage)

// resetReader fails when more than left bytes are read before it is set again.
type resetReader struct {
	r    io.Reader
	left int
}

func (r *resetReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, errLongMessage
	}
	n, err := r.r.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}

// tail keeps the last lines of what is written to it.
type tail struct {
	lines []string
	most  int
	part  strings.Builder // a line without its end so far
}

// colour is how the builder paints what a step writes to its errors.
var colour = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("\x1b\\[[0-9;]*m") })

// maxTailLine bounds a line: progress bars draw megabytes without an end of
// line.
const maxTailLine = 4096

func (t *tail) write(s string) {
	for line := range strings.SplitAfterSeq(s, "\n") {
		end := strings.HasSuffix(line, "\n")
		line = strings.TrimSuffix(line, "\n")
		if room := maxTailLine - t.part.Len(); len(line) > room {
			line = line[:max(0, room)]
		}
		t.part.WriteString(line)
		if end {
			t.end()
		}
	}
}

func (t *tail) end() {
	line := strings.TrimRight(colour().ReplaceAllString(t.part.String(), ""), "\r")
	t.part.Reset()
	if line == "" {
		return
	}
	t.lines = append(t.lines, line)
	if len(t.lines) > t.most {
		t.lines = t.lines[1:]
	}
}

// String returns the lines kept.
func (t *tail) String() string {
	t.end()
	return strings.Join(t.lines, "\n")
}
