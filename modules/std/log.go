package std

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/runtime"
)

func (s *Std) log() runtime.Module {
	funcs := []runtime.Func{{
		Name:    "",
		Doc:     "Writes a line to the run's log, at level info.",
		Example: `log("switching", {from="app-blue", to="app-green"})`,
		Call:    runtime.Inline(logAt("info")),
	}}
	for _, level := range []string{"debug", "info", "warn", "error"} {
		funcs = append(funcs, runtime.Func{
			Name:    level,
			Doc:     fmt.Sprintf("Writes a line to the run's log, at level %s.", level),
			Example: fmt.Sprintf(`log.%s("slow start", {seconds=12})`, level),
			Call:    runtime.Inline(logAt(level)),
		})
	}
	return runtime.Module{Name: "log", Doc: "Log lines for those who watch the run.", Self: s, Funcs: funcs}
}

type logArgs struct {
	Text   string                   `lua:"text,pos,required" doc:"the line"`
	Fields map[string]runtime.Value `lua:"fields,pos" doc:"values to show with it, by name"`
}

func logAt(level string) func(*Std, *runtime.Call, *logArgs) (runtime.None, error) {
	return func(_ *Std, c *runtime.Call, a *logArgs) (runtime.None, error) {
		var fields []effect.Arg
		for name, v := range a.Fields {
			fields = append(fields, effect.Arg{Name: name, Value: fieldText(v)})
		}
		slices.SortFunc(fields, func(x, y effect.Arg) int {
			if x.Name < y.Name {
				return -1
			}
			return 1
		})
		c.Log(level, a.Text, fields)
		return runtime.None{}, nil
	}
}

func fieldText(v runtime.Value) string {
	if n, ok := v.(float64); ok {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}
