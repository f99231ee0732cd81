package app

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/internal/say"
	"github.com/mepc/mepc-run/internal/watch"
)

// watchCmd is mepc-run watch.
type watchCmd struct{ *runner }

func watchCommand(in *invocation) *cobra.Command {
	c := &watchCmd{newRunner(in)}
	cmd := &cobra.Command{
		Use: "watch RECIPE [name=value ...]", Short: "Rehearse a recipe at each save, and show what changed", Args: cobra.MinimumNArgs(1),
		Long: `Rehearses a recipe as mepc-run -n does, and again whenever a file in or below its
directory is saved, until Ctrl-C. The first plan is shown whole; after that, only
what is different. When the recipe fails its error is shown until the next save.
Nothing is changed on any server.`,
		Example: "  mepc-run watch recipes/deploy.lua image=mepc/app:1.1 --world empty",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.watch(cmd.Context(), args[0], args[1:])
		},
	}
	c.pick(cmd, "world", "var-file", "docker", "context", "insecure-docker", "redis", "router", "secret", "env", "allow",
		"verbose", "no-color", "max-steps", "max-heap", "max-source", "seed")
	return cmd
}

// watch is mepc-run watch.
func (c *watchCmd) watch(ctx context.Context, name string, args []string) error {
	c.recipe, c.flags.rehearsal.on = name, true
	if err := c.flags.check(); err != nil {
		return err
	}
	given, err := params(c.flags.varFiles, args)
	if err != nil {
		return err
	}
	if filepath.Ext(name) != ".lua" {
		return failure.New(failure.Usage, "%s is not a .lua file", name).WithHint("name a .lua file; mepc-run -n %s rehearses the recipe that ships with mepc-run", name)
	}
	w, err := watch.New(filepath.Dir(name), clock.Wall{})
	if err != nil {
		return failure.Wrap(failure.Unavailable, failure.Innermost(err), "watch %s", filepath.Dir(name))
	}
	defer w.Close()
	var last []byte
	for {
		last, err = c.rehearse(ctx, name, given, last)
		if ctx.Err() != nil {
			return nil // Ctrl-C is how a watch ends
		}
		if err != nil {
			return err
		}
		changed, err := w.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return failure.Wrap(failure.Unavailable, failure.Innermost(err), "watch %s", filepath.Dir(name))
		}
		fmt.Fprintf(c.env.Stdout, "\n%s changed\n", printable(strings.Join(changed, ", ")))
	}
}

// rehearse shows the plan, or what is different from last, and returns it. A
// rehearsal that fails is shown, and is not an error.
func (c *watchCmd) rehearse(ctx context.Context, name string, given map[string]any, last []byte) ([]byte, error) {
	s := &stage{runner: c.runner, name: name, params: given}
	defer s.close()
	err := s.open(ctx, c.flags.rehearsal.world)
	var p *plan.Plan
	if err == nil {
		p, err = s.play(ctx)
	}
	if ctx.Err() != nil {
		return last, nil
	}
	if err != nil {
		rep := c.report(name)
		rep.Finish(err, 0, 0, nil)
		return last, rep.Close()
	}
	var now bytes.Buffer
	if err := p.Write(&now, plan.Style{Verbose: c.flags.verbose}); err != nil {
		return last, err
	}
	text := now.Bytes()
	if last != nil {
		text = c.planChanges(last, now.Bytes())
	}
	if _, err := c.env.Stdout.Write(text); err != nil {
		return last, failure.Wrap(failure.Output, err, "write the plan")
	}
	if s.result.Err != nil {
		_ = s.showFailure() // the next change may fix it
	}
	return now.Bytes(), nil
}

// planChanges are the lines of a plan that are not those of the last one.
func (c *watchCmd) planChanges(last, now []byte) []byte {
	color := c.colors(c.env.Stdout)
	var b bytes.Buffer
	different := false
	for line := range strings.Lines(string(diff.Diff("last", last, "now", now))) {
		paint := ""
		switch {
		case strings.HasPrefix(line, "diff ") || strings.HasPrefix(line, "--- ") || strings.HasPrefix(line, "+++ ") || strings.HasPrefix(line, "@@"):
			continue
		case strings.Contains(line, "recipe sha256:"):
			continue // it always is another
		case line[0] == '+':
			paint = say.Green
		case line[0] == '-':
			paint = say.Red
		}
		different = different || line[0] != ' '
		b.WriteString(say.Paint(color, paint, strings.TrimSuffix(line, "\n")) + "\n")
	}
	if !different {
		return []byte("the plan is the same\n")
	}
	return b.Bytes()
}
