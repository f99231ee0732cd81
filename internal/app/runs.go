package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/report"
)

// journalFlags adds the flags of commands that read journals.
func (c *command) journalFlags(cmd *cobra.Command) *cobra.Command {
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&c.flags.json, "json", false, "print JSON objects, one a line")
	c.pick(f, "state")
	return cmd
}

func (c *command) runsCommand() *cobra.Command {
	return c.journalFlags(&cobra.Command{
		Use: "runs", Short: "List the runs that there were, newest first", Args: noArgs,
		Example: "  mepc-run runs\n  mepc-run runs --json",
		RunE: func(*cobra.Command, []string) error {
			return c.listRuns(func(*journal.Header) bool { return true }, false)
		},
	})
}

func (c *command) historyCommand() *cobra.Command {
	return c.journalFlags(&cobra.Command{
		Use: "history APP", Short: "Tell who deployed an app: when, what, from where", Args: oneArg("the app"),
		Long: `Lists the runs for one app, newest first, with their parameters. A run belongs to
the app that its parameter app names; without one, to the recipe's name.`,
		Example: "  mepc-run history shop",
		RunE: func(_ *cobra.Command, args []string) error {
			return c.listRuns(func(h *journal.Header) bool { return h.App == args[0] }, true)
		},
	})
}

// oneArg wants exactly one argument, and says what.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		return failure.New(failure.Usage, "%s takes one argument, %s", cmd.CommandPath(), what).WithHint("usage: %s", cmd.UseLine())
	}
}

func (c *command) listRuns(want func(*journal.Header) bool, params bool) error {
	dir, err := c.stateDir()
	if err != nil {
		return err
	}
	runs, err := dir.Runs(want)
	if err != nil {
		return err
	}
	if c.flags.json {
		for _, run := range runs {
			if err := c.putJSON(run.Summary()); err != nil {
				return err
			}
		}
		return nil
	}
	if len(runs) == 0 {
		_, err := fmt.Fprintf(c.env.Stderr, "no runs in %s\n", dir.Path())
		return err
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "RUN\tSTARTED\tAPP\tRESULT\tEFFECTS\tTOOK\tBY\tRECIPE")
	if params {
		fmt.Fprint(w, "\tPARAMETERS")
	}
	for _, run := range runs {
		fmt.Fprintf(w, "\n%s\t%s\t%s\t%s\t%d\t%s\t%s@%s\t%s", run.ID, run.Started.Local().Format("2006-01-02 15:04:05"),
			report.Clean(run.App), run.Status(), run.Effects(), report.Duration(run.Took()), run.Who, run.Host, report.Clean(run.Recipe))
		if params {
			fmt.Fprintf(w, " %s\t%s", run.Hash[:min(12, len(run.Hash))], paramsText(run))
		}
	}
	fmt.Fprintln(w)
	_ = w.Flush() // to a buffer
	_, err = c.env.Stdout.Write(b.Bytes())
	return err
}

// paramsText writes a run's parameters as they were given.
func paramsText(run *journal.Run) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(run.Params)) {
		text, ok := run.Params[name].(string)
		if !ok {
			data, err := json.Marshal(run.Params[name])
			text = string(data)
			if err != nil {
				text = err.Error()
			}
		}
		all = append(all, report.Clean(name+"="+text))
	}
	for _, name := range run.Secret {
		all = append(all, name+"=[secret]")
	}
	return strings.Join(all, " ")
}

func (c *command) putJSON(v any) error {
	enc := json.NewEncoder(c.env.Stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// named returns the run that the argument names; the latest without one.
func (c *command) named(args []string) (*journal.Run, error) {
	dir, err := c.stateDir()
	if err != nil {
		return nil, err
	}
	name := "latest"
	if len(args) > 0 {
		name = args[0]
	}
	return dir.Find(name)
}
