package report

import (
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/report/lines"
)

// jsonView writes objects to stdout, and to stderr what is neither a call nor
// the result. The package's documentation holds the schema.
type jsonView struct {
	plain *plain
}

func (v *jsonView) event(ev effect.Event) {
	switch ev.Type {
	case effect.OpEnd:
		if ev.Op.Class.Mutates() || v.plain.opts.Verbosity > 0 {
			v.put(lines.NewEffect(ev.Op, ev.Result))
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
		v.put(lines.NewEffect(op, &effect.Result{Outcome: effect.Unknown}))
	}
}

func (v *jsonView) finish(end end) {
	v.put(lines.NewResult(v.plain.opts.Recipe, end.effects, end.duration, end.value, end.err))
	if end.err != nil {
		v.plain.end(end)
	}
}

func (v *jsonView) area() []string { return nil }

func (v *jsonView) put(object any) {
	v.plain.out.put(true, string(lines.Encode(object))+"\n")
}
