package app

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/report"
	"github.com/mepc/mepc-run/modules/approve"
)

// answerTick is the interval at which a waiting run looks for its answer.
const answerTick = 200 * time.Millisecond

// ask asks a person on behalf of the run under way: the question stands in its
// journal, and the answer comes as a file.
func (r *runner) ask(ctx context.Context, q approve.Question) (approve.Answer, error) {
	dir, err := r.stateDir()
	run := r.underway.Load()
	if err != nil || run == nil {
		return approve.Answer{}, failure.New(failure.Denied, "there is no terminal to ask at")
	}
	asked := journal.Question{Number: q.Number, Text: q.Text, Deadline: q.Deadline, Default: "abort"}
	if q.Default {
		asked.Default = "approve"
	}
	if err := run.journal.Ask(asked); err != nil {
		return approve.Answer{}, err
	}
	run.report.Event(warning(fmt.Sprintf("waiting for an answer until %s: %s\nmepc-run approve %s yes, or no", q.Deadline.Local().Format("2006-01-02 15:04:05"), q.Text, run.journal.ID())))
	for {
		got, err := dir.TakeAnswer(run.journal.ID(), q.Number)
		if err != nil {
			return approve.Answer{}, err
		}
		if late := !(clock.Wall{}).Now().Before(q.Deadline); got == nil && late {
			got = &journal.Question{Number: q.Number, Approved: q.Default}
		}
		if got != nil {
			return approve.Answer{Approved: got.Approved, Who: got.Who}, run.journal.Answer(*got)
		}
		if err := (clock.Wall{}).Sleep(ctx, answerTick); err != nil {
			return approve.Answer{}, err
		}
	}
}

// approveCmd is mepc-run approve.
type approveCmd struct{ *invocation }

func approveCommand(in *invocation) *cobra.Command {
	c := &approveCmd{in}
	cmd := &cobra.Command{
		Use: "approve RUN yes|no", Short: "Answer a run that waits for approval", Args: cobra.ArbitraryArgs,
		Long: `Answers a run that waits in approve(): yes lets it go on, no makes it fail and undo
its changes. RUN is a run's name, or the beginning or end of one; without arguments
the runs that wait for an answer are listed.`,
		Example: "  mepc-run approve\n  mepc-run approve 4f2a yes",
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return c.list()
			case len(args) != 2 || args[1] != "yes" && args[1] != "no":
				return failure.New(failure.Usage, "approve takes a run, and yes or no").WithHint("mepc-run approve RUN yes")
			}
			return c.answer(args[0], args[1] == "yes")
		},
	}
	c.pick(cmd, "state")
	return cmd
}

func (c *approveCmd) list() error {
	dir, err := c.stateDir()
	if err != nil {
		return err
	}
	runs, err := dir.Running()
	if err != nil {
		return err
	}
	n := 0
	for _, run := range runs {
		for _, q := range run.Pending() {
			n++
			fmt.Fprintf(c.env.Stdout, "%s  %s for %s: %s (until %s, else %s)\n", run.ID, report.Clean(run.Recipe), report.Clean(run.App),
				report.Clean(oneLine(q.Text)), q.Deadline.Local().Format("2006-01-02 15:04:05"), q.Default)
		}
	}
	if n == 0 {
		fmt.Fprintln(c.env.Stdout, "no run is waiting for an answer")
	}
	return nil
}

func (c *approveCmd) answer(name string, yes bool) error {
	dir, err := c.stateDir()
	if err != nil {
		return err
	}
	run, err := dir.Find(name)
	if err != nil {
		return err
	}
	open := run.Pending()
	if len(open) == 0 {
		return failure.New(failure.Conflict, "run %s is not waiting for an answer: it is %s", run.ID, run.Status())
	}
	q := open[0]
	if err := dir.PutAnswer(run.ID, journal.Question{Number: q.Number, Approved: yes, Who: c.who()}); err != nil {
		return err
	}
	fmt.Fprintf(c.env.Stdout, "%s: %s\n", map[bool]string{true: "approved", false: "rejected"}[yes], report.Clean(oneLine(q.Text)))
	return nil
}
