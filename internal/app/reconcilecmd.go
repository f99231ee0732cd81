package app

import (
	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/failure"
)

func (c *command) reconcileCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "reconcile APP [name=value ...]", Short: "Repair an app's routing after its engine was restarted", Args: cobra.ArbitraryArgs,
		Long: `Compares the routing lists of an app with its containers, which may have come
back with other addresses when their engine was restarted, and repairs the
lists, or says what it cannot know. It is the recipe reconcile, with app=APP;
-n shows what it would do.`,
		Example: "  mepc-run reconcile shop -n\n  mepc-run reconcile shop host=www.example.com",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return failure.New(failure.Usage, "whose routing is to be repaired?").WithHint("usage: %s", cmd.UseLine())
			}
			args = append([]string{"app=" + args[0]}, args[1:]...)
			if c.flags.rehearsal.on {
				return c.rehearse(cmd, "reconcile", args)
			}
			return c.run(cmd.Context(), "reconcile", args)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	c.pick(f, "dry-run", "world", "docker", "context", "insecure-docker", "redis", "router", "allow", "lock-wait",
		"json", "quiet", "verbose", "no-color", "timeout", "grace", "state", "keep-runs")
	return cmd
}
