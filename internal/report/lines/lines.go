// Package lines is what a run tells programs: objects of JSON, one a line. It is the
// one encoder of them, for the command's --json and for programs that embed runtime.
// Start with Writer. The doc of package report has the schema for users of the command.
package lines

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// Effect is a call that has ended.
type Effect struct {
	Type     string            `json:"type"`        // "effect"
	Seq      int               `json:"seq"`         // its number among all the run's calls, from 1
	Time     time.Time         `json:"time"`        // when it began
	Op       string            `json:"op"`          // the function, such as docker.start
	Target   string            `json:"target"`      // what it was done to
	Class    effect.Class      `json:"class"`       // read, write or destructive
	Endpoint string            `json:"endpoint"`    // the server
	Outcome  effect.Outcome    `json:"outcome"`     // ok, unchanged, refused (nothing was done) or unknown (it may have been done)
	Millis   float64           `json:"duration_ms"` // to the microsecond
	Where    string            `json:"where"`       // the recipe's line
	Scope    []string          `json:"scope"`       // the names of the steps around it, outermost first
	Branch   string            `json:"branch"`      // the parallel branch, such as 2.1; empty outside of parallel
	Args     map[string]string `json:"args"`        // the other arguments by name, as text, without secrets
	Summary  string            `json:"summary"`     // its result in a few words
	Error    *Error            `json:"error"`
}

// Result says how a run ended. It is the last line.
type Result struct {
	Type    string  `json:"type"` // "result"
	Recipe  string  `json:"recipe"`
	Status  string  `json:"status"`  // ok, unchanged (nothing had to be done), failed or cancelled
	Effects int     `json:"effects"` // how many calls changed, or may have changed, the world
	Millis  float64 `json:"duration_ms"`
	Error   *Error  `json:"error"`
	// Value is the recipe's return value. It is encoded by itself: one that JSON cannot
	// hold must not cost the rest of the result.
	Value json.RawMessage `json:"value"`
}

// Error is an error of a call or of a run.
type Error struct {
	Kind      failure.Kind `json:"kind"`
	Message   string       `json:"message"`
	Op        string       `json:"op,omitempty"`
	Target    string       `json:"target,omitempty"`
	Where     string       `json:"where,omitempty"`
	Hint      string       `json:"hint,omitempty"`      // what to do next
	State     string       `json:"state,omitempty"`     // what things are in now
	Details   string       `json:"details,omitempty"`   // more, of several lines
	Trace     []string     `json:"trace,omitempty"`     // the Lua call stack, innermost first
	Retryable bool         `json:"retryable,omitempty"` // trying again may help
}

// Writer is a sink that writes the calls which may change the world, each in a line
// when it has ended. It is safe for concurrent use.
type Writer struct {
	Out   io.Writer
	Reads bool // also the calls that only look

	mu  sync.Mutex
	err error
}

// Event implements effect.Sink.
func (w *Writer) Event(ev effect.Event) {
	if ev.Type == effect.OpEnd && (w.Reads || ev.Op.Class.Mutates()) {
		w.put(NewEffect(ev.Op, ev.Result))
	}
}

// End writes how the run ended, and returns the first error of writing.
func (w *Writer) End(recipe string, effects int, d time.Duration, value any, err error) error {
	w.put(NewResult(recipe, effects, d, value, err))
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *Writer) put(object any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.Out.Write(append(Encode(object), '\n')); err != nil && w.err == nil {
		w.err = err
	}
}

// NewResult returns the line of a run that ended with err, or with value.
func NewResult(recipe string, effects int, d time.Duration, value any, err error) Result {
	res := Result{Type: "result", Recipe: recipe, Status: Status(err, effects), Effects: effects, Millis: millis(d), Error: newError(err)}
	if err == nil {
		res.Value = Encode(Plain(value))
	}
	return res
}

// Status says in a word how a run with this number of effects ended.
func Status(err error, effects int) string {
	switch {
	case err != nil && failure.KindOf(err) == failure.Cancelled:
		return "cancelled"
	case err != nil:
		return "failed"
	case effects == 0:
		return "unchanged"
	}
	return "ok"
}

// NewEffect returns the line of a call that has ended.
func NewEffect(op *effect.Op, res *effect.Result) Effect {
	e := Effect{
		Type: "effect", Seq: op.Seq, Time: op.Start, Op: op.Name, Target: op.Target,
		Class: op.Class, Endpoint: op.Endpoint, Outcome: res.Outcome, Millis: millis(res.Duration),
		Where: op.Where, Scope: op.Scope, Branch: op.Branch, Args: map[string]string{},
		Summary: res.Summary, Error: newError(res.Err),
	}
	if e.Scope == nil {
		e.Scope = []string{}
	}
	for _, a := range op.Args {
		e.Args[a.Name] = a.Value
	}
	return e
}

func newError(err error) *Error {
	if err == nil {
		return nil
	}
	e := failure.As(err)
	if e == nil {
		return &Error{Kind: failure.Internal, Message: err.Error()}
	}
	return &Error{
		Kind: e.Kind, Message: e.Message, Op: e.Op, Target: e.Target, Where: e.Where, Hint: e.Hint,
		State: e.State, Details: e.Details, Trace: e.Trace, Retryable: e.Retryable,
	}
}

// millis returns d in milliseconds, to the microsecond.
func millis(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}

// Encode returns v as JSON on one line. It escapes DEL and the C1 control
// characters too, which JSON allows and terminals obey. What JSON cannot hold
// becomes text.
func Encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		b.Reset()
		_ = enc.Encode(fmt.Sprint(v))
	}
	line := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if bytes.IndexFunc(line, isC1) < 0 {
		return line
	}
	var out bytes.Buffer
	for _, r := range string(line) {
		if isC1(r) {
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.Bytes()
}

func isC1(r rune) bool { return r >= 0x7f && r <= 0x9f }

// Plain returns v without the numbers that JSON does not know: Lua's inf
// and nan become those words.
func Plain(v any) any {
	switch v := v.(type) {
	case float64:
		switch {
		case math.IsNaN(v):
			return "nan"
		case math.IsInf(v, 1):
			return "inf"
		case math.IsInf(v, -1):
			return "-inf"
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = Plain(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = Plain(v[k])
		}
		return out
	}
	return v
}
