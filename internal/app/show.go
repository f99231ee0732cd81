package app

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/report"
)

func (c *command) showCommand() *cobra.Command {
	return c.journalFlags(&cobra.Command{
		Use: "show [RUN]", Short: "Show what a run did, and how it ended", Args: atMostOne,
		Long: `Shows a run: who started it, its parameters, each effect and its outcome, what was
undone, and how it ended. RUN is a run's name, the beginning or the end of it;
without it the latest is shown.`,
		Example: "  mepc-run show\n  mepc-run show 4f2a",
		RunE: func(_ *cobra.Command, args []string) error {
			run, err := c.named(args)
			if err != nil {
				return err
			}
			if c.flags.json {
				s := run.Summary()
				s.Calls, s.Undoings = run.CallSummaries(), run.Undoings()
				return c.putJSON(s)
			}
			_, err = c.env.Stdout.Write(showRun(run))
			return err
		},
	})
}

func (c *command) logsCommand() *cobra.Command {
	return c.journalFlags(&cobra.Command{
		Use: "logs [RUN]", Short: "Print a run's journal, line by line", Args: atMostOne,
		Long: `Prints all that a run did, looked at and said, in order. RUN is a run's name, the
beginning or the end of it; without it the latest is taken.`,
		Example: "  mepc-run logs\n  mepc-run logs 4f2a --json | jq .op",
		RunE: func(_ *cobra.Command, args []string) error {
			run, err := c.named(args)
			if err != nil {
				return err
			}
			if c.flags.json {
				for _, r := range run.Records {
					if err := c.putJSON(r); err != nil {
						return err
					}
				}
				return nil
			}
			_, err = c.env.Stdout.Write(logLines(run))
			return err
		},
	})
}

func atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) <= 1 {
		return nil
	}
	return failure.New(failure.Usage, "%s takes one run, got %d", cmd.CommandPath(), len(args)).WithHint("usage: %s", cmd.UseLine())
}

// showRun is a run for people.
func showRun(run *journal.Run) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "run %s: %s for %s, %s\n", run.ID, report.Clean(run.Recipe), report.Clean(run.App), resultText(run))
	fmt.Fprintf(&b, "  by %s on %s, %s, %s\n", run.Who, run.Host, run.Started.Local().Format(time.RFC3339), run.Version)
	fmt.Fprintf(&b, "  engine %s, Redis %s\n", orNone(run.Docker), orNone(run.Redis))
	fmt.Fprintf(&b, "  recipe sha256:%s\n", run.Hash[:min(12, len(run.Hash))])
	if text := paramsText(run); text != "" {
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
	if run.Damaged > 0 {
		fmt.Fprintf(&b, "\n%s of the journal cannot be read: the disk, or someone's hand, changed it\n", plural(run.Damaged, "line"))
	}
	return b.Bytes()
}

func resultText(run *journal.Run) string {
	text := run.Status()
	switch {
	case run.Settled != nil:
		text = "cut off" + whereOf(run) + ", " + run.Settled.How + " by run " + run.Settled.Run
	case run.CutOff():
		text = "cut off" + whereOf(run)
	default:
		text += fmt.Sprintf(", %s in %s", plural(run.Effects(), "effect"), report.Duration(run.Took()))
	}
	return text
}

func callText(call *journal.Call) string {
	mark, rest := "?", "not known: the run was cut off before an answer was noted"
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

// logLines are a journal for people.
func logLines(run *journal.Run) []byte {
	var b bytes.Buffer
	ops := map[int]*effect.Op{}
	for _, r := range run.Records {
		line := ""
		switch r.Type {
		case journal.RunBegins:
			line = "run    " + run.ID + " " + report.Clean(run.Recipe) + " " + paramsText(run)
		case journal.SourceRead:
			line = "source " + r.Source.File
		case journal.Intent:
			ops[r.Op.Seq] = r.Op
			line = "start  " + opText(r.Op)
		case journal.Outcome:
			if op := ops[r.Seq]; op != nil {
				line = "end    " + op.Name + " " + report.Clean(op.Target) + " " + outcomeText(r.Result)
			}
		case journal.Looked:
			line = "look   " + opText(r.Op) + " " + outcomeText(r.Result)
		case journal.StepBegins:
			line = "step   " + report.Clean(strings.Join(r.Step.Path, " > "))
		case journal.StepEnds:
			line = "done   " + report.Clean(strings.Join(r.Step.Path, " > ")) + " " + report.Duration(r.Step.Duration)
			if r.Step.Error != nil {
				line = "failed " + strings.TrimPrefix(line, "done   ") + " " + report.Clean(r.Step.Error.Message)
			}
		case journal.LogLine:
			line = fmt.Sprintf("%-6s %s", r.Log.Level, report.Clean(r.Log.Text))
			for _, f := range r.Log.Fields {
				line += " " + report.Clean(f.Name+"="+f.Value)
			}
		case journal.Deferred, journal.Withdrawn, journal.Undone:
			line = fmt.Sprintf("%-6s %s", map[journal.Type]string{
				journal.Deferred: "defer", journal.Withdrawn: "cancel", journal.Undone: "undo",
			}[r.Type], report.Clean(r.Undo.Name)+prefixed(": ", oneLine(r.Undo.Said)))
			if r.Error != nil {
				line += ": " + report.Clean(r.Error.Message)
			}
		case journal.Kept:
			line = "kept   " + report.Clean(r.Memo.Name) + " = " + report.Clean(string(r.Memo.Value))
		case journal.Locked:
			line = fmt.Sprintf("lock   %s token %d%s", report.Clean(r.Lock.App), r.Lock.Token, prefixed(" taken over from ", r.Lock.From))
		case journal.RunEnds:
			line = fmt.Sprintf("end    %s, %s in %s", r.End.Status, plural(r.End.Effects, "effect"), report.Duration(r.End.Duration))
			if r.End.Error != nil {
				line += "\n" + strings.TrimRight(errorText(r.End.Error), "\n")
			}
		case journal.Settled:
			line = "later  " + r.By.How + " by run " + r.By.Run
		}
		if line != "" {
			fmt.Fprintf(&b, "%s %s\n", r.Time.Local().Format("15:04:05.000"), line)
		}
	}
	return b.Bytes()
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
