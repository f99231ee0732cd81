package report

import (
	"encoding/json"
	"math"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// jsonView writes objects to stdout, and to stderr what is neither a call nor
// the result. The package's documentation holds the schema.
type jsonView struct {
	plain *plain
}

type jsonEffect struct {
	Type     string            `json:"type"`
	Seq      int               `json:"seq"`
	Time     time.Time         `json:"time"`
	Op       string            `json:"op"`
	Target   string            `json:"target"`
	Class    effect.Class      `json:"class"`
	Endpoint string            `json:"endpoint"`
	Outcome  effect.Outcome    `json:"outcome"`
	Millis   float64           `json:"duration_ms"`
	Where    string            `json:"where"`
	Scope    []string          `json:"scope"`
	Branch   string            `json:"branch"`
	Args     map[string]string `json:"args"`
	Summary  string            `json:"summary"`
	Error    *jsonError        `json:"error"`
}

type jsonResult struct {
	Type    string     `json:"type"`
	Recipe  string     `json:"recipe"`
	Status  string     `json:"status"`
	Effects int        `json:"effects"`
	Millis  float64    `json:"duration_ms"`
	Error   *jsonError `json:"error"`
	// Value is encoded by itself: one that JSON cannot hold must not cost the
	// rest of the result.
	Value json.RawMessage `json:"value"`
}

type jsonError struct {
	Kind      failure.Kind `json:"kind"`
	Message   string       `json:"message"`
	Op        string       `json:"op,omitempty"`
	Target    string       `json:"target,omitempty"`
	Where     string       `json:"where,omitempty"`
	Hint      string       `json:"hint,omitempty"`
	State     string       `json:"state,omitempty"`
	Details   string       `json:"details,omitempty"`
	Trace     []string     `json:"trace,omitempty"`
	Retryable bool         `json:"retryable,omitempty"`
}

func (v *jsonView) event(ev effect.Event) {
	switch ev.Type {
	case effect.OpEnd:
		if ev.Op.Class.Mutates() || v.plain.opts.Verbosity > 0 {
			v.put(newJSONEffect(ev.Op, ev.Result))
		}
	case effect.LogLine:
		v.plain.event(ev)
	}
}

func (v *jsonView) print(text string) {
	if v.plain.opts.Verbosity >= 0 {
		v.plain.out.put(false, cleanOutput(text)+"\n")
	}
}

// close writes the calls without an end: the world may have changed by them.
func (v *jsonView) close(left []*effect.Op) {
	for _, op := range left {
		v.put(newJSONEffect(op, &effect.Result{Outcome: effect.Unknown}))
	}
}

func (v *jsonView) finish(end end) {
	res := jsonResult{
		Type: "result", Recipe: v.plain.opts.Recipe, Status: status(end.err, end.effects),
		Effects: end.effects, Millis: millis(end.duration), Error: newJSONError(end.err),
	}
	if end.err == nil {
		res.Value = encode(plainValue(end.value))
	}
	v.put(res)
	if end.err != nil {
		v.plain.end(end)
	}
}

func (v *jsonView) area() []string { return nil }

func (v *jsonView) put(object any) {
	v.plain.out.put(true, string(encode(object))+"\n")
}

func status(err error, effects int) string {
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

func newJSONEffect(op *effect.Op, res *effect.Result) jsonEffect {
	e := jsonEffect{
		Type: "effect", Seq: op.Seq, Time: op.Start, Op: op.Name, Target: op.Target,
		Class: op.Class, Endpoint: op.Endpoint, Outcome: res.Outcome, Millis: millis(res.Duration),
		Where: op.Where, Scope: op.Scope, Branch: op.Branch, Args: map[string]string{},
		Summary: res.Summary, Error: newJSONError(res.Err),
	}
	if e.Scope == nil {
		e.Scope = []string{}
	}
	for _, a := range op.Args {
		e.Args[a.Name] = a.Value
	}
	return e
}

func newJSONError(err error) *jsonError {
	if err == nil {
		return nil
	}
	e := failure.As(err)
	if e == nil {
		return &jsonError{Kind: failure.Internal, Message: err.Error()}
	}
	return &jsonError{
		Kind: e.Kind, Message: e.Message, Op: e.Op, Target: e.Target, Where: e.Where, Hint: e.Hint,
		State: e.State, Details: e.Details, Trace: e.Trace, Retryable: e.Retryable,
	}
}

// millis returns d in milliseconds, to the microsecond.
func millis(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}
