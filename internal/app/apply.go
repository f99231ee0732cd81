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

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/internal/report"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// maxPlan is the largest plan accepted, in bytes.
const maxPlan = 64 << 20

// applyCmd is mepc-run apply.
type applyCmd struct{ *runner }

func applyCommand(in *invocation) *cobra.Command {
	c := &applyCmd{newRunner(in)}
	cmd := &cobra.Command{
		Use: "apply PLAN [name=value ...]", Short: "Carry out a plan that a rehearsal wrote", Args: cobra.MinimumNArgs(1),
		Long: `Carries out a plan that mepc-run -n RECIPE --out PLAN wrote: runs the recipe with
the plan's parameters and stops before the first effect that is not in the plan.
A stale plan, whose recipe or starting state has changed since, is refused before
anything is done. Plans hold no secrets: give parameters that are secrets again.`,
		Example: "  mepc-run -n bluegreen image=mepc/app:1.1 --out plan.json\n  mepc-run apply plan.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.run(cmd, args[0], args[1:])
		},
	}
	c.pick(cmd, "docker", "context", "insecure-docker", "redis", "secret", "env", "allow",
		"json", "quiet", "verbose", "no-color", "timeout", "grace", "max-steps", "max-heap", "max-source",
		"state", "keep-runs", "lock-wait")
	return cmd
}

func (c *applyCmd) run(cmd *cobra.Command, file string, args []string) error {
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
	if err := (&stage{runner: c.runner, name: p.Recipe.Name, params: given}).fresh(ctx, p); err != nil {
		return err
	}
	world := servers.Live(c.servers())
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
		return nil, failure.Wrap(failure.Usage, failure.Innermost(err), "the plan %s", name).WithHint("mepc-run -n RECIPE ... --out FILE writes one")
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPlan+1))
	switch {
	case err != nil:
		return nil, failure.Wrap(failure.Usage, failure.Innermost(err), "the plan %s", name)
	case len(data) > maxPlan:
		return nil, failure.New(failure.Invalid, "the plan %s is larger than 64 MiB", name)
	}
	p, err := plan.Decode(data)
	if err != nil {
		return nil, failure.New(failure.Invalid, "the plan %s: %s", name, err).WithHint("a rehearsal writes one: mepc-run -n RECIPE ... --out FILE")
	}
	if p.Error != nil {
		return nil, failure.New(failure.Invalid, "the plan %s comes from a failed rehearsal: %s", name, p.Error.Message).
			WithHint("fix that, then make the plan again: mepc-run -n %s ... --out FILE", p.Recipe.Name)
	}
	return p, nil
}

// adopt takes the plan's parameters and flags. args are its secret parameters.
func (c *applyCmd) adopt(p *plan.Plan, args []string) (map[string]any, error) {
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
			return nil, failure.New(failure.Usage, "the parameter %s is a secret, and plans hold no secrets", name).WithHint("give it again: mepc-run apply PLAN %s=...", name)
		}
		given[name] = v
		delete(secrets, name)
	}
	for name := range secrets {
		return nil, failure.New(failure.Usage, "the parameter %s is set by the plan", name).
			WithHint("make a new plan to run with another value: mepc-run -n %s ... --out FILE", p.Recipe.Name)
	}
	c.flags.Routers, c.flags.Seed = p.Options.Routers, p.Options.Seed
	isCommands := func(name string) bool { return name == secretCommands }
	commands := slices.ContainsFunc(c.flags.Allow, isCommands)
	c.flags.Allow = slices.DeleteFunc(c.flags.Allow, isCommands)
	p.Options.Allow = slices.DeleteFunc(slices.Clone(p.Options.Allow), isCommands)
	for _, f := range []struct {
		flag *[]string
		plan []string
	}{{&c.flags.Allow, p.Options.Allow}, {&c.flags.Env, p.Options.Env}, {&c.flags.Secrets, p.Options.Secrets}} {
		if len(*f.flag) == 0 {
			*f.flag = f.plan
		}
	}
	if commands && !slices.Contains(c.flags.Allow, secretCommands) {
		c.flags.Allow = append(c.flags.Allow, secretCommands)
	}
	return given, nil
}

// fresh refuses a plan that is stale: it rehearses again, in a snapshot of now.
func (s *stage) fresh(ctx context.Context, p *plan.Plan) error {
	defer s.close()
	if err := s.sameRecipe(p); err != nil {
		return err
	}
	if err := s.open(ctx, plan.Live); err != nil {
		return err
	}
	engines, redis := s.world.Servers()
	if p.World.Source == plan.Live && len(engines) > 0 && !slices.Contains(p.World.Engines, engines[0]) {
		return failure.New(failure.Conflict, "the plan is for %s, and this run would go to %s", strings.Join(p.World.Engines, ", "), engines[0]).
			WithHint("name the engine with --docker, or make a new plan")
	}
	if p.World.Source == plan.Live && p.World.Redis != redis {
		return failure.New(failure.Conflict, "the plan is for %s, and this run would go to %s", p.World.Redis, redis).
			WithHint("name Redis with --redis, or make a new plan")
	}
	now, err := s.play(ctx)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	changed := slices.Concat(p.Rewritten(now), s.world.Changed(p), p.Differs(now))
	if len(changed) == 0 {
		return nil
	}
	e := failure.New(failure.Conflict, "the plan is stale: the state it was made from has changed since %s", p.World.Taken.UTC().Format(time.RFC3339)).
		WithHint("make a new plan, review it, and apply that: mepc-run -n %s ... --out FILE", p.Recipe.Name)
	e.Details = strings.Join(changed, "\n")
	return e
}

// sameRecipe compares the recipe with that of the plan.
func (s *stage) sameRecipe(p *plan.Plan) error {
	host, err := s.host()
	if err != nil {
		return err
	}
	recipe, err := s.from.load(host, s.name)
	if err != nil {
		return err
	}
	if recipe.Hash != p.Recipe.Hash {
		return failure.New(failure.Conflict, "the plan is stale: %s changed since (it was %.12s, and is %.12s)", p.Recipe.Name, p.Recipe.Hash, recipe.Hash).
			WithHint("make a new plan, review it, and apply that: mepc-run -n %s ... --out FILE", p.Recipe.Name)
	}
	return nil
}

// resolver asks the real engines what the symbols of a plan stand for.
type resolver struct {
	world   *servers.Clients
	engines []string // of the plan
}

const resolveTimeout = 10 * time.Second

// Resolve implements plan.Resolver.
func (r *resolver) Resolve(ctx context.Context, s plan.Symbol) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, resolveTimeout, failure.New(failure.Timeout, "no answer within %s", resolveTimeout))
	defer cancel()
	ep := servers.DockerEndpoint{}
	if s.Engine != "" && len(r.engines) > 0 && s.Engine != r.engines[0] {
		ep.Host = s.Engine
	}
	cli, name, err := r.world.Docker(ctx, ep)
	if err != nil {
		return "", err
	}
	x := &servers.Exchange{Endpoint: name}
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
