package app

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/report"
	"github.com/mepc/mepc-run/internal/say"
)

func showCommand(in *invocation) *cobra.Command {
	return in.completed(in.journalFlags(&cobra.Command{
		Use: "show [RUN]", Short: "Show what a run did, and how it ended", Args: atMostOne("run"),
		Long: `Shows a run: who started it, its parameters, each effect and its outcome, what was
undone, and how it ended. RUN is a run's name, or the beginning or end of one; the
default is the latest.`,
		Example: "  mepc-run show\n  mepc-run show 4f2a",
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := in.stateDir()
			if err != nil {
				return err
			}
			run, err := dir.Find(named(args))
			if err != nil {
				return err
			}
			if in.flags.json {
				return in.putJSON(run.Summary())
			}
			_, err = in.env.Stdout.Write(showRun(run))
			return err
		},
	}), findRuns)
}

func logsCommand(in *invocation) *cobra.Command {
	app := &appLogs{invocation: in}
	cmd := in.journalFlags(&cobra.Command{
		Use: "logs [RUN|APP]", Short: "Print a run's journal, or what an app's containers print", Args: atMostOne("run or app"),
		Long: `Prints everything a run did, read and logged, in order. RUN is a run's name, or the
beginning or end of one; the default is the latest.

With an app it follows the logs of the containers that serve it, until Ctrl-C.`,
		Example: "  mepc-run logs\n  mepc-run logs 4f2a --json | jq .op\n  mepc-run logs shop",
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := in.stateDir()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if _, noRun := dir.Find(args[0]); failure.KindOf(noRun) == failure.NotFound {
					err := app.show(cmd.Context(), args[0])
					if failure.KindOf(err) == failure.NotFound || err != nil && runLike.MatchString(args[0]) {
						return noRun
					}
					return err
				}
			}
			lines := logLines{ops: map[int]*effect.Op{}}
			out := bufio.NewWriter(in.env.Stdout)
			err = dir.Replay(named(args), func(r *journal.Record) error {
				if in.flags.json {
					return writeJSON(out, r)
				}
				line := lines.of(r)
				if line == "" {
					return nil
				}
				_, err := fmt.Fprintf(out, "%s %s\n", r.Time.Local().Format("15:04:05.000"), line)
				return err
			})
			return errors.Join(err, out.Flush())
		},
	})
	f := cmd.Flags()
	f.BoolVarP(&app.follow, "follow", "f", true, "of an app: go on with what its containers print")
	f.IntVar(&app.tail, "tail", 100, "of an app: begin with the last `N` lines of each container")
	in.pick(cmd, "docker", "context", "insecure-docker", "redis")
	return in.completed(cmd, findRunsAndApps)
}

// runLike is what a part of a run's name looks like.
var runLike = regexp.MustCompile(`^[0-9a-fT-]+$`)

// atMostOne wants one argument or none, and says of what.
func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= 1 {
			return nil
		}
		return failure.New(failure.Usage, "%s takes one %s, got %d", cmd.CommandPath(), what, len(args)).WithHint("usage: %s", cmd.UseLine())
	}
}

// showRun is a run for people.
func showRun(run *journal.Run) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "run %s: %s for %s, %s\n", run.ID, report.Clean(run.Recipe), report.Clean(run.App), resultText(run))
	fmt.Fprintf(&b, "  by %s on %s, %s, %s\n", run.Who, run.Host, run.Started.Local().Format(time.RFC3339), run.Version)
	fmt.Fprintf(&b, "  engine %s, Redis %s\n", orNone(run.Docker), orNone(run.Redis))
	fmt.Fprintf(&b, "  recipe sha256:%s\n", run.Hash[:min(12, len(run.Hash))])
	if text := paramsText(&run.Header, whole); text != "" {
		fmt.Fprintf(&b, "  %s\n", text)
	}
	if len(run.Options.Allow) > 0 {
		fmt.Fprintf(&b, "  lifted by --allow: %s\n", strings.Join(run.Options.Allow, ", "))
	}
	for _, r := range run.Records {
		if r.Lock != nil {
			fmt.Fprintf(&b, "  lock of %s, token %d%s\n", report.Clean(r.Lock.App), r.Lock.Token, prefixed(", taken over from ", r.Lock.From))
		}
	}
	var scope []string
	for i, call := range run.Calls() {
		if i == 0 {
			b.WriteString("\n")
		}
		if !slices.Equal(scope, call.Op.Scope) {
			scope = call.Op.Scope
			if len(scope) > 0 {
				fmt.Fprintf(&b, "%s\n", report.Clean(strings.Join(scope, " > ")))
			}
		}
		fmt.Fprintf(&b, "  %s\n", callText(call))
	}
	if all := run.Undoings(); len(all) > 0 {
		b.WriteString("\ncompensations\n")
		for _, u := range all {
			fmt.Fprintf(&b, "  %-10s %s%s\n", u.State, report.Clean(u.Name), prefixed(": ", oneLine(u.Said)))
			if u.Error != nil {
				fmt.Fprintf(&b, "             %s\n", report.Clean(u.Error.Message))
			}
		}
	}
	if run.Ended != nil && run.Ended.Error != nil {
		b.WriteString("\n" + errorText(run.Ended.Error))
	}
	if run.Cut {
		b.WriteString("\nthe journal grew too large: later log lines, looks and steps were left out\n")
	}
	if err := run.Damage(); err != nil {
		fmt.Fprintf(&b, "\nthe journal is damaged: %v\n", err)
	}
	if run.Damaged > 0 {
		fmt.Fprintf(&b, "\n%s of the journal cannot be read: a disk fault or an edit changed it\n", say.Count(run.Damaged, "line"))
	}
	return b.Bytes()
}

func resultText(run *journal.Run) string {
	text := run.Status()
	switch {
	case run.Settled != nil:
		text = "cut off" + whereOf(&run.Head) + ", " + run.Settled.How + " by run " + run.Settled.Run
	case run.CutOff():
		text = "cut off" + whereOf(&run.Head)
	default:
		text += fmt.Sprintf(", %s in %s", say.Count(run.Effects, "effect"), report.Duration(run.Took()))
	}
	return text
}

func callText(call *journal.Call) string {
	mark, rest := "?", "unknown: the run was interrupted before an answer was recorded"
	if r := call.Result; r != nil {
		rest = report.Duration(r.Duration)
		if r.Summary != "" {
			rest += "  " + report.Clean(r.Summary)
		}
		switch r.Outcome {
		case effect.OK:
			mark = "✓"
		case effect.Unchanged:
			mark = "="
		case effect.Refused:
			mark = "✗"
		}
		if r.Error != nil {
			rest += "  " + report.Clean(r.Error.Message)
		}
	}
	return fmt.Sprintf("%s %s %s %s  %s", mark, call.Op.Start.Local().Format("15:04:05.000"), call.Op.Name, report.Clean(call.Op.Target), rest)
}

func errorText(e *journal.Error) string {
	var b strings.Builder
	what := strings.TrimSpace(strings.Join([]string{e.Op, e.Target}, " "))
	fmt.Fprintf(&b, "error (%s): %s%s\n", e.Kind, report.Clean(e.Message), prefixed("  at ", e.Where))
	if what != "" {
		fmt.Fprintf(&b, "  in %s\n", report.Clean(what))
	}
	for _, part := range []struct{ name, text string }{{"state", e.State}, {"details", e.Details}, {"next", e.Hint}} {
		for line := range strings.Lines(part.text) {
			fmt.Fprintf(&b, "  %s: %s\n", part.name, report.Clean(strings.TrimRight(line, "\n")))
		}
	}
	return b.String()
}

// whole shows all of a parameter.
func whole(text string) string { return text }

// logLines writes a journal for people, record by record.
type logLines struct {
	ops map[int]*effect.Op // that have not ended
}

// of returns the line of r; "" when it has none.
func (l *logLines) of(r *journal.Record) string {
	switch r.Type {
	case journal.RunBegins:
		return "run    " + r.Run.ID + " " + report.Clean(r.Run.Recipe) + " " + paramsText(r.Run, whole)
	case journal.SourceRead:
		return "source " + report.Clean(r.Source.File)
	case journal.Intent:
		l.ops[r.Op.Seq] = r.Op
		return "start  " + opText(r.Op)
	case journal.Outcome:
		op := l.ops[r.Seq]
		if op == nil {
			return ""
		}
		delete(l.ops, r.Seq)
		return "end    " + op.Name + " " + report.Clean(op.Target) + " " + outcomeText(r.Result)
	case journal.Looked:
		return "look   " + opText(r.Op) + " " + outcomeText(r.Result)
	case journal.LogLine:
		line := fmt.Sprintf("%-6s %s", r.Log.Level, report.Clean(r.Log.Text))
		for _, f := range r.Log.Fields {
			line += " " + report.Clean(f.Name+"="+f.Value)
		}
		return line
	case journal.StepBegins, journal.StepEnds:
		return stepText(r)
	case journal.Deferred, journal.Withdrawn, journal.Undone:
		return undoText(r)
	case journal.Kept:
		return "kept   " + report.Clean(r.Memo.Name) + " = " + report.Clean(string(r.Memo.Value))
	case journal.Locked:
		return fmt.Sprintf("lock   %s token %d%s", report.Clean(r.Lock.App), r.Lock.Token, prefixed(" taken over from ", r.Lock.From))
	}
	return endText(r)
}

func stepText(r *journal.Record) string {
	path := report.Clean(strings.Join(r.Step.Path, " > "))
	switch {
	case r.Type == journal.StepBegins:
		return "step   " + path
	case r.Step.Error != nil:
		return "failed " + path + " " + report.Duration(r.Step.Duration) + " " + report.Clean(r.Step.Error.Message)
	}
	return "done   " + path + " " + report.Duration(r.Step.Duration)
}

func undoText(r *journal.Record) string {
	verb := map[journal.Type]string{journal.Deferred: "defer", journal.Withdrawn: "cancel", journal.Undone: "undo"}[r.Type]
	line := fmt.Sprintf("%-6s %s", verb, report.Clean(r.Undo.Name)+prefixed(": ", oneLine(r.Undo.Said)))
	if r.Error != nil {
		line += ": " + report.Clean(r.Error.Message)
	}
	return line
}

// endText is the line of what stands at a journal's end.
func endText(r *journal.Record) string {
	switch r.Type {
	case journal.Cut:
		return "cut    the journal is large: from here on it has no log lines, looks or steps"
	case journal.Folded:
		var all []string
		for _, name := range slices.Sorted(maps.Keys(r.Folded)) {
			all = append(all, fmt.Sprintf("%s %d", report.Clean(name), r.Folded[name]))
		}
		return "folded looks with the same answer as before: " + strings.Join(all, ", ")
	case journal.RunEnds:
		line := fmt.Sprintf("end    %s, %s in %s", r.End.Status, say.Count(r.End.Effects, "effect"), report.Duration(r.End.Duration))
		if r.End.Error != nil {
			line += "\n" + strings.TrimRight(errorText(r.End.Error), "\n")
		}
		return line
	case journal.Settled:
		return "later  " + r.By.How + " by run " + r.By.Run
	}
	return ""
}

func opText(op *effect.Op) string {
	text := op.Name + " " + report.Clean(op.Target)
	for _, a := range op.Args {
		text += " " + report.Clean(a.Name+"="+a.Value)
	}
	return text + prefixed("  ", op.Where)
}

func outcomeText(r *journal.Result) string {
	text := string(r.Outcome) + " " + report.Duration(r.Duration) + prefixed("  ", report.Clean(r.Summary))
	if r.Error != nil {
		text += "  " + report.Clean(r.Error.Message)
	}
	return text
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

func oneLine(s string) string {
	return report.Clean(strings.Join(strings.Fields(strings.ReplaceAll(s, "\n", "; ")), " "))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return report.Clean(s)
}
