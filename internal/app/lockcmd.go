package app

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/lock"
	"github.com/mepc/mepc-run/internal/report"
	lockmodule "github.com/mepc/mepc-run/modules/lock"
)

// locking is what recipes' locks need to know of this process.
func (c *command) locking() lockmodule.Options {
	o := lockmodule.Options{Who: c.who(), Host: hostname(), Wait: c.flags.lockWait, Taken: c.taken}
	if dir, err := c.stateDir(); err == nil { // a rehearsal does without one
		o.State, o.Dead = dir.Path(), dir.Dead
	}
	return o
}

// taken notes in the journal of the run under way that it took a lock.
func (c *command) taken(l lockmodule.Taken) error {
	if c.journal == nil {
		return nil
	}
	return c.journal.Locked(journal.Lock(l))
}

func (c *command) lockCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "lock", Short: "See who has an app's lock, take it, give it back", Args: cobra.NoArgs,
		Long: `A run has its app's lock in Redis while it goes on, and another run of the app
waits, or ends with a conflict that names the holder. The lock of a run that died
ends by itself after 15 seconds. Take it by hand to keep deployments away.`,
		RunE: func(*cobra.Command, []string) error {
			return failure.New(failure.Usage, "what about locks?").WithHint("mepc-run lock status APP, lock acquire APP -m WHY, lock release APP")
		},
	}
	var message string
	acquire := &cobra.Command{
		Use: "acquire APP -m WHY", Short: "Keep deployments of an app away until it is released", Args: oneArg("the app"),
		Example: `  mepc-run lock acquire shop -m "the database is being moved"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if message == "" {
				return failure.New(failure.Usage, "say why, for whoever is kept away").WithHint("mepc-run lock acquire %s -m \"...\"", args[0])
			}
			return c.withLocks(cmd.Context(), func(ctx context.Context, place *lock.Redis) error {
				return c.acquireLock(ctx, place, args[0], message)
			})
		},
	}
	acquire.Flags().StringVarP(&message, "message", "m", "", "`WHY` nobody is to deploy it")
	status := &cobra.Command{
		Use: "status [APP]", Short: "Tell who has an app's lock, or which are taken", Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withLocks(cmd.Context(), func(ctx context.Context, place *lock.Redis) error {
				return c.lockStatus(ctx, place, args)
			})
		},
	}
	release := &cobra.Command{
		Use: "release APP", Short: "Give an app's lock back, whoever has it", Args: oneArg("the app"),
		Long: `Gives an app's lock back. A run that has it makes no effect any more from its next
renewal on; what it began is left as it is.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withLocks(cmd.Context(), func(ctx context.Context, place *lock.Redis) error {
				return c.releaseLock(ctx, place, args[0])
			})
		},
	}
	for _, sub := range []*cobra.Command{status, acquire, release} {
		f := sub.Flags()
		f.SortFlags = false
		c.pick(f, "redis")
		f.BoolVar(&c.flags.json, "json", false, "print a JSON object")
		cmd.AddCommand(sub)
	}
	return cmd
}

func (c *command) withLocks(ctx context.Context, f func(context.Context, *lock.Redis) error) error {
	world := engine.Live(c.servers())
	defer world.Close()
	client, name, err := world.Redis(ctx, "")
	if err != nil {
		return err
	}
	return f(ctx, lock.InRedis(client, name))
}

// lockLine is a lock as --json shows it.
type lockLine struct {
	App    string       `json:"app"`
	Held   bool         `json:"held"`
	Manual bool         `json:"manual"`
	Holder *lock.Holder `json:"holder"`
}

func (c *command) showLock(app string, h *lock.Holder) error {
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

func (c *command) lockStatus(ctx context.Context, place *lock.Redis, apps []string) error {
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
		if err := c.showLock(app, h); err != nil {
			return err
		}
	}
	return nil
}

func (c *command) acquireLock(ctx context.Context, place *lock.Redis, app, message string) error {
	h := lock.Holder{Owner: c.who() + "@" + hostname(), Who: c.who(), Host: hostname(), Message: message}
	k, _, err := lock.Take(ctx, place, lock.Request{App: app, Holder: h, Clock: clock.Wall{}})
	if err != nil {
		return err
	}
	k.Leave()
	got, err := place.Look(ctx, app)
	if err != nil {
		return err
	}
	return c.showLock(app, got)
}

func (c *command) releaseLock(ctx context.Context, place *lock.Redis, app string) error {
	h, err := place.Look(ctx, app)
	if err != nil {
		return err
	}
	if h == nil {
		return c.showLock(app, nil)
	}
	if err := place.Break(ctx, app); err != nil {
		return err
	}
	if c.flags.json {
		return c.showLock(app, nil)
	}
	_, err = fmt.Fprintf(c.env.Stdout, "%s: released; it was locked by %s\n", report.Clean(app), report.Clean(h.String()))
	return err
}
