package app

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/lock"
	"github.com/mepc/mepc-run/internal/report"
	lockmodule "github.com/mepc/mepc-run/modules/lock"
	redismodule "github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/servers"
)

// locking holds what recipes' locks need to know about this process.
func (r *runner) locking() lockmodule.Options {
	o := lockmodule.Options{Who: r.who(), Host: hostname(), Wait: r.flags.LockWait, Taken: r.taken}
	if dir, err := r.stateDir(); err == nil { // a rehearsal does without one
		o.State, o.Dead = dir.Path(), dir.Dead
	}
	return o
}

// taken notes in the journal of the run under way that it took a lock.
func (r *runner) taken(l lockmodule.Taken) error {
	run := r.underway.Load()
	if run == nil {
		return nil
	}
	return run.journal.Locked(journal.Lock(l))
}

// lockCmd is mepc-run lock.
type lockCmd struct {
	*invocation
	message string
}

func lockCommand(in *invocation) *cobra.Command {
	c := &lockCmd{invocation: in}
	cmd := &cobra.Command{
		Use: "lock", Short: "Show, take or release an app's lock", Args: cobra.NoArgs,
		Long: `A run holds its app's lock in Redis until it ends. Another run of the app waits, or
ends with a conflict that names the holder. The lock of a run that died expires
after 15 seconds. Take the lock by hand to hold off deployments.`,
		RunE: func(*cobra.Command, []string) error {
			return failure.New(failure.Usage, "lock needs a subcommand: status, acquire or release").WithHint("mepc-run lock status APP, lock acquire APP -m WHY, lock release APP")
		},
	}
	acquire := &cobra.Command{
		Use: "acquire APP -m WHY", Short: "Hold off deployments of an app until released", Args: oneArg("the app"),
		Example: `  mepc-run lock acquire shop -m "the database is being moved"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.message == "" {
				return failure.New(failure.Usage, "a reason is required (-m)").WithHint("mepc-run lock acquire %s -m \"...\"", args[0])
			}
			return c.withLocks(cmd.Context(), func(ctx context.Context, place *lock.Redis) error {
				return c.acquire(ctx, place, args[0])
			})
		},
	}
	acquire.Flags().StringVarP(&c.message, "message", "m", "", "`WHY` deployments are held off")
	status := &cobra.Command{
		Use: "status [APP]", Short: "Show who holds an app's lock, or all locks", Args: atMostOne("app"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withLocks(cmd.Context(), func(ctx context.Context, place *lock.Redis) error {
				return c.status(ctx, place, args)
			})
		},
	}
	release := &cobra.Command{
		Use: "release APP", Short: "Release an app's lock, no matter who holds it", Args: oneArg("the app"),
		Long: `Releases an app's lock. A run that holds it changes nothing more from its next
renewal on; what it began is left as it is.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withLocks(cmd.Context(), func(ctx context.Context, place *lock.Redis) error {
				return c.release(ctx, place, args[0])
			})
		},
	}
	for _, sub := range []*cobra.Command{status, acquire, release} {
		f := sub.Flags()
		c.pick(sub, "redis")
		c.completed(sub, findApps)
		f.BoolVar(&c.flags.json, "json", false, "print a JSON object")
		cmd.AddCommand(sub)
	}
	return cmd
}

func (c *lockCmd) withLocks(ctx context.Context, f func(context.Context, *lock.Redis) error) error {
	world := servers.Live(c.servers())
	defer world.Close()
	client, name, err := world.Redis(ctx, "")
	if err != nil {
		return err
	}
	return f(ctx, lock.InRedis(client, name, clock.Wall{}, func(err error) error { return redismodule.Explain(err, name) }))
}

// lockLine is a lock as --json shows it.
type lockLine struct {
	App    string       `json:"app"`
	Held   bool         `json:"held"`
	Manual bool         `json:"manual"`
	Holder *lock.Holder `json:"holder"`
}

func (c *lockCmd) show(app string, h *lock.Holder) error {
	if c.flags.json {
		return c.putJSON(lockLine{app, h != nil, h != nil && h.Manual(), h})
	}
	text := "free"
	if h != nil {
		text = "locked by " + report.Clean(h.String())
		if !h.Manual() {
			text += fmt.Sprintf("; renewed %s", h.Renewed.UTC().Format(time.RFC3339))
		}
	}
	_, err := fmt.Fprintf(c.env.Stdout, "%s: %s\n", report.Clean(app), text)
	return err
}

func (c *lockCmd) status(ctx context.Context, place *lock.Redis, apps []string) error {
	if len(apps) == 0 {
		var err error
		if apps, err = place.Apps(ctx); err != nil {
			return err
		}
		if len(apps) == 0 && !c.flags.json {
			_, err := fmt.Fprintf(c.env.Stdout, "nothing is locked in %s\n", place)
			return err
		}
	}
	for _, app := range apps {
		h, err := place.Look(ctx, app)
		if err != nil {
			return err
		}
		if err := c.show(app, h); err != nil {
			return err
		}
	}
	return nil
}

func (c *lockCmd) acquire(ctx context.Context, place *lock.Redis, app string) error {
	h := lock.Holder{Owner: c.who() + "@" + hostname(), Who: c.who(), Host: hostname(), Message: c.message}
	k, _, err := lock.Take(ctx, place, lock.Request{App: app, Holder: h, Clock: clock.Wall{}})
	if err != nil {
		return err
	}
	k.Leave()
	got, err := place.Look(ctx, app)
	if err != nil {
		return err
	}
	return c.show(app, got)
}

func (c *lockCmd) release(ctx context.Context, place *lock.Redis, app string) error {
	h, err := place.Look(ctx, app)
	if err != nil {
		return err
	}
	if h == nil {
		return c.show(app, nil)
	}
	if err := place.Break(ctx, app); err != nil {
		return err
	}
	if c.flags.json {
		return c.show(app, nil)
	}
	_, err = fmt.Fprintf(c.env.Stdout, "%s: released; it was locked by %s\n", report.Clean(app), report.Clean(h.String()))
	return err
}
