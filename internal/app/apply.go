package app

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/internal/report"
	"github.com/mepc/mepc-run/runtime"
)

// maxPlan is how large a plan may be, in bytes.
const maxPlan = 64 << 20

func (c *command) applyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "apply PLAN [name=value ...]", Short: "Carry out a plan that a rehearsal wrote", Args: cobra.MinimumNArgs(1),
		Long: `Carries out a plan that mepc-run -n RECIPE --out PLAN wrote: runs the recipe with
the plan's parameters and stops before the first effect that is not the plan's.
A plan that is stale, because the recipe or what it rests on changed since, is
refused before anything is done. Parameters that are secrets are in no plan: give
them again.`,
		Example: "  mepc-run -n bluegreen image=mepc/app:1.1 --out plan.json\n  mepc-run apply plan.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.apply(cmd, args[0], args[1:])
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	c.pick(f, "docker", "context", "insecure-docker", "redis", "secret", "env", "allow",
		"json", "quiet", "verbose", "no-color", "timeout", "grace", "max-steps", "max-heap", "max-source",
		"state", "keep-runs", "lock-wait")
	return cmd
}

// pick adds flags of a run to another command.
func (c *command) pick(to *pflag.FlagSet, names ...string) {
	grace, seed, keep := c.flags.grace, c.flags.seed, c.flags.keepRuns
	for _, g := range c.flags.groups() {
		g.VisitAll(func(f *pflag.Flag) {
			if slices.Contains(names, f.Name) {
				to.AddFlag(f)
			}
		})
	}
	if grace != 0 {
		c.flags.grace, c.flags.seed, c.flags.keepRuns = grace, seed, keep
	}
}

func (c *command) apply(cmd *cobra.Command, file string, args []string) error {
	ctx := cmd.Context()
	p, err := readPlan(file)
	if err != nil {
		return err
	}
	c.recipe = p.Recipe.Name
	given, err := c.adopt(p, args)
	if err != nil {
		return err
	}
	if err := c.flags.check(); err != nil {
		return err
	}
	if err := c.fresh(ctx, p, given); err != nil {
		return err
	}
	world := engine.Live(c.servers())
	defer world.Close()
	guard := plan.NewGuard(p, &resolver{world: world, engines: p.World.Engines})
	return c.execute(ctx, world, execution{
		name: p.Recipe.Name,
		opts: runtime.RunOptions{Params: given, Guards: []runtime.Guard{guard}, Abort: c.abort},
		last: func(rep *report.Report) {
			for _, e := range guard.Left() {
				rep.Event(warning("the plan has an effect that was not needed: " + e.Op + " " + e.Target))
			}
		},
	})
}

func readPlan(name string) (*plan.Plan, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, failure.Wrap(failure.Usage, innermost(err), "the plan %s", name).WithHint("mepc-run -n RECIPE ... --out FILE writes one")
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPlan+1))
	switch {
	case err != nil:
		return nil, failure.Wrap(failure.Usage, innermost(err), "the plan %s", name)
	case len(data) > maxPlan:
		return nil, failure.New(failure.Invalid, "the plan %s is larger than 64 MiB", name)
	}
	p, err := plan.Decode(data)
	if err != nil {
		return nil, failure.New(failure.Invalid, "the plan %s: %s", name, err).WithHint("a rehearsal writes one: mepc-run -n RECIPE ... --out FILE")
	}
	if p.Error != nil {
		return nil, failure.New(failure.Invalid, "the plan %s is of a rehearsal that failed: %s", name, p.Error.Message).
			WithHint("mend that, and make it again: mepc-run -n %s ... --out FILE", p.Recipe.Name)
	}
	return p, nil
}

// adopt takes the plan's parameters and flags. args are its secret parameters.
func (c *command) adopt(p *plan.Plan, args []string) (map[string]any, error) {
	secrets, err := params(nil, args)
	if err != nil {
		return nil, err
	}
	given := map[string]any{}
	for name, v := range p.Recipe.Params {
		given[name] = v
	}
	for _, name := range p.Recipe.SecretParams {
		v, ok := secrets[name]
		if !ok {
			return nil, failure.New(failure.Usage, "the parameter %s is a secret, which no plan has", name).WithHint("give it again: mepc-run apply PLAN %s=...", name)
		}
		given[name] = v
		delete(secrets, name)
	}
	for name := range secrets {
		return nil, failure.New(failure.Usage, "the parameter %s is the plan's to say", name).
			WithHint("make a new plan to run with another: mepc-run -n %s ... --out FILE", p.Recipe.Name)
	}
	c.flags.routers, c.flags.seed = p.Options.Routers, p.Options.Seed
	isCommands := func(name string) bool { return name == secretCommands }
	commands := slices.ContainsFunc(c.flags.allow, isCommands)
	c.flags.allow = slices.DeleteFunc(c.flags.allow, isCommands)
	p.Options.Allow = slices.DeleteFunc(slices.Clone(p.Options.Allow), isCommands)
	for _, f := range []struct {
		flag *[]string
		plan []string
	}{{&c.flags.allow, p.Options.Allow}, {&c.flags.env, p.Options.Env}, {&c.flags.secrets, p.Options.Secrets}} {
		if len(*f.flag) == 0 {
			*f.flag = f.plan
		}
	}
	if commands && !slices.Contains(c.flags.allow, secretCommands) {
		c.flags.allow = append(c.flags.allow, secretCommands)
	}
	return given, nil
}

// fresh refuses a plan that is stale: it rehearses again, in a snapshot of now.
func (c *command) fresh(ctx context.Context, p *plan.Plan, given map[string]any) error {
	s := &stage{command: c, name: p.Recipe.Name, params: given}
	defer s.close()
	if err := c.sameRecipe(p); err != nil {
		return err
	}
	if err := s.open(ctx, plan.Live); err != nil {
		return err
	}
	if now := s.live.names(); p.World.Source == plan.Live && len(now) > 0 && !slices.Contains(p.World.Engines, now[0]) {
		return failure.New(failure.Conflict, "the plan is for %s, and this run would go to %s", strings.Join(p.World.Engines, ", "), now[0]).
			WithHint("name the engine with --docker, or make a new plan")
	}
	if p.World.Source == plan.Live && p.World.Redis != s.live.redisName {
		return failure.New(failure.Conflict, "the plan is for %s, and this run would go to %s", p.World.Redis, s.live.redisName).
			WithHint("name Redis with --redis, or make a new plan")
	}
	now, err := s.play(ctx)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	changed := slices.Concat(p.Rewritten(now), p.Stale(s.state), p.Differs(now))
	if len(changed) == 0 {
		return nil
	}
	e := failure.New(failure.Conflict, "the plan is stale: what it rests on changed since %s", p.World.Taken.UTC().Format(time.RFC3339)).
		WithHint("make a new plan, look at it, and apply that: mepc-run -n %s ... --out FILE", p.Recipe.Name)
	e.Details = strings.Join(changed, "\n")
	return e
}

// sameRecipe compares the recipe with that of the plan.
func (c *command) sameRecipe(p *plan.Plan) error {
	host, err := c.host()
	if err != nil {
		return err
	}
	recipe, err := c.load(host, p.Recipe.Name)
	if err != nil {
		return err
	}
	if recipe.Hash != p.Recipe.Hash {
		return failure.New(failure.Conflict, "the plan is stale: %s changed since (it was %.12s, and is %.12s)", p.Recipe.Name, p.Recipe.Hash, recipe.Hash).
			WithHint("make a new plan, look at it, and apply that: mepc-run -n %s ... --out FILE", p.Recipe.Name)
	}
	return nil
}

// resolver asks the real engines what the symbols of a plan stand for.
type resolver struct {
	world   *engine.World
	engines []string // of the plan
}

const resolveTimeout = 10 * time.Second

// Resolve implements plan.Resolver.
func (r *resolver) Resolve(ctx context.Context, s plan.Symbol) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, resolveTimeout, failure.New(failure.Timeout, "no answer within %s", resolveTimeout))
	defer cancel()
	ep := engine.DockerEndpoint{}
	if s.Engine != "" && len(r.engines) > 0 && s.Engine != r.engines[0] {
		ep.Host = s.Engine
	}
	cli, name, err := r.world.Docker(ctx, ep)
	if err != nil {
		return "", err
	}
	x := &engine.Exchange{Endpoint: name}
	if s.What == "image" {
		img, err := cli.ImageInspect(x.Watch(ctx), s.Name)
		if err != nil {
			return "", x.Failure(ctx, err)
		}
		return img.ID, nil
	}
	c, err := cli.ContainerInspect(x.Watch(ctx), s.Name)
	if err != nil {
		return "", x.Failure(ctx, err)
	}
	return valueOf(c, s)
}

// valueOf finds the symbol's value in what the engine says of the container.
func valueOf(c container.InspectResponse, s plan.Symbol) (string, error) {
	switch s.What {
	case "id":
		return c.ID, nil
	case "ip":
		network := s.Network
		if network == "" {
			network = "bridge"
		}
		if ep := c.NetworkSettings.Networks[network]; ep != nil {
			if _, err := netip.ParseAddr(ep.IPAddress); err == nil {
				return ep.IPAddress, nil
			}
		}
		return "", fmt.Errorf("%s has no address in the network %s: it is %s", s.Name, network, c.State.Status)
	}
	for port, bindings := range c.NetworkSettings.Ports {
		if string(port) == s.Port && len(bindings) > 0 {
			return bindings[0].HostPort, nil
		}
	}
	return "", fmt.Errorf("%s does not publish its port %s", s.Name, s.Port)
}
