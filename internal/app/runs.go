package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/report"
	"github.com/mepc/mepc-run/internal/say"
)

// journalFlags adds the flags of commands that read journals.
func (in *invocation) journalFlags(cmd *cobra.Command) *cobra.Command {
	f := cmd.Flags()
	f.BoolVar(&in.flags.json, "json", false, "print JSON objects, one a line")
	in.pick(cmd, "state")
	return cmd
}

func runsCommand(in *invocation) *cobra.Command {
	return in.listFlags(&cobra.Command{
		Use: "runs", Short: "List runs, newest first", Args: noArgs,
		Example: "  mepc-run runs\n  mepc-run runs --json",
		RunE: func(*cobra.Command, []string) error {
			return in.listRuns(func(*journal.Header) bool { return true })
		},
	})
}

func historyCommand(in *invocation) *cobra.Command {
	return in.completed(in.listFlags(&cobra.Command{
		Use: "history APP", Short: "Show who deployed an app: what, when, and how it ended", Args: oneArg("the app"),
		Long: `Lists the runs for one app, newest first; -v shows their parameters. A run belongs
to the app named by its parameter app, or else by the recipe.`,
		Example: "  mepc-run history shop",
		RunE: func(_ *cobra.Command, args []string) error {
			return in.listRuns(func(h *journal.Header) bool { return h.App == args[0] })
		},
	}), findApps)
}

// listFlags adds the flags of commands that list runs.
func (in *invocation) listFlags(cmd *cobra.Command) *cobra.Command {
	in.journalFlags(cmd)
	cmd.Flags().BoolVarP(&in.flags.verbose, "verbose", "v", false, "show each run's name, recipe, parameters, and how long it took")
	return cmd
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

// listRuns lists the runs that want accepts. What cannot be read is listed, too, and
// is an error at the end: of one app, it may be one of that.
func (in *invocation) listRuns(want func(*journal.Header) bool) error {
	dir, err := in.stateDir()
	if err != nil {
		return err
	}
	list := &runList{invocation: in, dir: dir}
	err = dir.Each(func(h *journal.Head) error {
		if h.Bad == nil && !want(&h.Header) {
			return nil
		}
		return list.add(h)
	})
	if err == nil {
		err = list.flush(dir)
	}
	if err == nil && list.damaged > 0 {
		err = failure.New(failure.Journal, "%s in %s cannot be read: run %s: %v", say.Count(list.damaged, "journal"), dir.Path(), list.first.ID, list.first.Damage()).
			WithHint("a disk fault or an edit changed it: mepc-run logs %s shows what is left of it", list.first.ID)
	}
	return err
}

// runList writes runs as they are found.
type runList struct {
	*invocation
	dir     *journal.Dir
	damaged int
	first   *journal.Head // that is damaged
	rows    bytes.Buffer
	table   *tabwriter.Writer // nil: nothing was listed yet
}

func (l *runList) add(h *journal.Head) error {
	if h.Damage() != nil {
		if l.damaged++; l.damaged == 1 {
			l.first = h
		}
	}
	asks := l.dir.Asks(h)
	if l.flags.json {
		s := h.Summary()
		s.Asks = asks
		return l.putJSON(s)
	}
	if l.table == nil {
		l.table = tabwriter.NewWriter(&l.rows, 0, 0, 2, ' ', 0)
		if l.flags.verbose {
			fmt.Fprint(l.table, "RUN\tSTARTED\tAPP\tRESULT\tEFFECTS\tTOOK\tBY\tRECIPE\tPARAMETERS")
		} else {
			fmt.Fprint(l.table, "WHAT\tHOST\tRESULT\tWHEN\tBY\tRUN")
		}
	}
	status := h.Status()
	if len(asks) > 0 {
		status = "asks"
	}
	switch {
	case h.Bad != nil && l.flags.verbose:
		fmt.Fprintf(l.table, "\n%s\t?\t?\tdamaged\t?\t?\t?\t%v", report.Clean(h.ID), h.Bad)
		return nil
	case h.Bad != nil:
		fmt.Fprintf(l.table, "\n?\t?\tdamaged\t?\t?\t%s", report.Clean(h.ID))
		return nil
	case !l.flags.verbose:
		fmt.Fprintf(l.table, "\n%s\t%s\t%s\t%s\t%s\t%s", cut(report.Clean(whatOf(&h.Header)), 18), cut(report.Clean(hostOf(&h.Header)), 17), status,
			say.Ago(clock.Wall{}.Now().Sub(h.Started)), cut(report.Clean(h.Who), 10), h.ID[max(0, len(h.ID)-6):])
		return nil
	}
	effects := "?"
	if h.Effects >= 0 {
		effects = strconv.Itoa(h.Effects)
	}
	fmt.Fprintf(l.table, "\n%s\t%s\t%s\t%s\t%s\t%s\t%s@%s\t%s", h.ID, h.Started.Local().Format("2006-01-02 15:04:05"),
		short(report.Clean(h.App)), status, effects, report.Duration(h.Took()), h.Who, h.Host, short(report.Clean(h.Recipe)))
	fmt.Fprintf(l.table, " %s\t%s", h.Hash[:min(12, len(h.Hash))], paramsText(&h.Header, short))
	return nil
}

// whatOf is what a run deployed: its image, without where that is from, else its recipe.
func whatOf(h *journal.Header) string {
	image := imageOf(h)
	if image == "" {
		return h.Recipe
	}
	return image[strings.LastIndexByte(image, '/')+1:]
}

// hostOf is the host whose traffic a run moved, else its app.
func hostOf(h *journal.Header) string {
	switch v := h.Params["host"].(type) {
	case string:
		if first, rest, more := strings.Cut(v, ","); more {
			return fmt.Sprintf("%s +%d", first, 1+strings.Count(rest, ","))
		}
		return v
	case []any:
		if len(v) > 1 {
			return fmt.Sprintf("%v +%d", v[0], len(v)-1)
		}
	}
	return h.App
}

// cut shortens text to a width.
func cut(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text
}

func (l *runList) flush(dir *journal.Dir) error {
	if l.flags.json {
		return nil
	}
	if l.table == nil {
		_, err := fmt.Fprintf(l.env.Stderr, "no runs in %s\n", dir.Path())
		return err
	}
	fmt.Fprintln(l.table)
	_ = l.table.Flush() // to a buffer
	_, err := l.env.Stdout.Write(l.rows.Bytes())
	return err
}

// short is text as a list has it.
func short(text string) string {
	const most = 200
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return text
}

// paramsText writes a run's parameters as they were given, each as show has it.
func paramsText(h *journal.Header, show func(string) string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(h.Params)) {
		text, ok := h.Params[name].(string)
		if !ok {
			data, err := json.Marshal(h.Params[name])
			text = string(data)
			if err != nil {
				text = err.Error()
			}
		}
		all = append(all, show(report.Clean(name+"="+text)))
	}
	for _, name := range h.Secret {
		all = append(all, name+"=[secret]")
	}
	return strings.Join(all, " ")
}

// named returns the name of the run that the argument names; the latest without
// one.
func named(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return "latest"
}
