package app

import (
	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/failure"
)

func reconcileCommand(in *invocation) *cobra.Command {
	c := newRunCmd(in)
	cmd := &cobra.Command{
		Use: "reconcile APP [name=value ...]", Short: "Repair an app's routing after its engine was restarted", Args: cobra.ArbitraryArgs,
		Long: `Compares the routing lists of an app with its containers, whose addresses may
have changed when their engine was restarted, and repairs the lists, or reports
what it cannot decide. It runs the recipe reconcile with app=APP; -n shows what
it would do.`,
		Example: "  mepc-run reconcile shop -n\n  mepc-run reconcile shop host=www.example.com",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return failure.New(failure.Usage, "reconcile needs an app name").WithHint("usage: %s", cmd.UseLine())
			}
			return c.run(cmd, "reconcile", append([]string{"app=" + args[0]}, args[1:]...))
		},
	}
	c.pick(cmd, "dry-run", "world", "docker", "context", "insecure-docker", "redis", "router", "allow", "lock-wait",
		"json", "quiet", "verbose", "no-color", "timeout", "grace", "state", "keep-runs")
	return cmd
}
