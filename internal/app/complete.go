package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/standing"
	redismodule "github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/recipes"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// complete offers recipes, then the parameters of the one that is named and their
// values: those of an enum or a boolean, and what the engine and Redis have.
func (r *runner) complete(_ *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return r.shippedWithDocs(), cobra.ShellCompDirectiveDefault // and files
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, declared, err := r.describe(ctx, args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if name, _, ok := strings.Cut(toComplete, "="); ok {
		return r.completeValue(ctx, declared, name)
	}
	var out []string
	for _, p := range declared {
		given := func(arg string) bool { return strings.HasPrefix(arg, p.Name+"=") }
		if !slices.ContainsFunc(args[1:], given) {
			out = append(out, printable(p.Name+"=\t"+p.Doc))
		}
	}
	return out, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}

func (r *runner) completeValue(ctx context.Context, declared []runtime.Param, name string) ([]string, cobra.ShellCompDirective) {
	i := slices.IndexFunc(declared, func(p runtime.Param) bool { return p.Name == name })
	if i < 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	values := declared[i].Values
	if declared[i].Type == "boolean" {
		values = []string{"true", "false"}
	} else if find := findable[name]; find != nil && values == nil {
		values = r.find(ctx, find)
	}
	var out []string
	for _, v := range values {
		out = append(out, name+"="+v)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeFlags offers the values of the flags that have a few.
func completeFlags(root *cobra.Command) {
	for flag, values := range map[string][]string{
		"allow": allowed, "docker": {"unix://", "ssh://", "tcp://"}, "context": nil,
		"redis":  {"redis://", "rediss://", "unix://", "redis-sentinel://", "redis-cluster://"},
		"router": {"http://", "https://"}, "env": nil, "secret": nil, "timeout": nil, "grace": nil,
		"world": nil, "max-steps": nil, "max-heap": nil, "max-source": nil, "seed": nil,
		"keep-runs": nil, "lock-wait": nil,
	} {
		directive := cobra.ShellCompDirectiveNoFileComp
		if len(values) > 0 && strings.HasSuffix(values[0], "://") {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		if err := root.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, directive)); err != nil {
			panic(err) // there is no such flag
		}
	}
}

// shippedWithDocs returns the recipes that ship with mepc-run, with the first sentence of
// what each says of itself.
func (r *runner) shippedWithDocs() []string {
	var out []string
	for _, name := range shippedNames() {
		text, err := recipes.FS.ReadFile(name + ".lua")
		first, _, _ := strings.Cut(strings.TrimPrefix(string(text), "--"), "\n")
		if err != nil {
			first = ""
		}
		out = append(out, printable(name+"\t"+strings.TrimSpace(first)))
	}
	return out
}

// finder finds what a value or an argument can be.
type finder func(context.Context, *invocation, *servers.Clients) []string

// findable says by a parameter's name what it can be.
var findable = map[string]finder{
	"image": findImages, "network": findNetworks, "networks": findNetworks, "links": findContainers, "app": findApps, "host": findHosts,
}

// findTime is how long servers may take to answer while somebody waits for completions.
const findTime = 300 * time.Millisecond

func (in *invocation) find(ctx context.Context, f finder) []string {
	ctx, cancel := context.WithTimeout(ctx, findTime)
	defer cancel()
	world := servers.ReadOnly(in.servers())
	defer world.Close()
	return f(ctx, in, world)
}

// completed makes a command's arguments complete to what f finds.
func (in *invocation) completed(cmd *cobra.Command, f finder) *cobra.Command {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return in.find(context.Background(), f), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

func findImages(ctx context.Context, _ *invocation, world *servers.Clients) []string {
	cli, _, err := world.Docker(ctx, servers.DockerEndpoint{})
	if err != nil {
		return nil
	}
	list, err := cli.ImageList(ctx, image.ListOptions{})
	if err != nil {
		return nil
	}
	var all []string
	for _, i := range list {
		for _, tag := range i.RepoTags {
			if tag != "<none>:<none>" {
				all = append(all, tag)
			}
		}
	}
	return all
}

func findNetworks(ctx context.Context, _ *invocation, world *servers.Clients) []string {
	cli, _, err := world.Docker(ctx, servers.DockerEndpoint{})
	if err != nil {
		return nil
	}
	list, err := cli.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return nil
	}
	var all []string
	for _, n := range list {
		if n.Name != "host" && n.Name != "none" {
			all = append(all, n.Name)
		}
	}
	return all
}

func findContainers(ctx context.Context, _ *invocation, world *servers.Clients) []string {
	cli, _, err := world.Docker(ctx, servers.DockerEndpoint{})
	if err != nil {
		return nil
	}
	list, err := cli.ContainerList(ctx, container.ListOptions{})
	if err != nil {
		return nil
	}
	var all []string
	for _, c := range list {
		for _, name := range c.Names {
			all = append(all, strings.TrimPrefix(name, "/"))
		}
	}
	return all
}

func findApps(ctx context.Context, _ *invocation, world *servers.Clients) []string {
	apps, _ := standing.Look(ctx, standing.Options{Servers: world, Explain: redismodule.Explain})
	var all []string
	for _, a := range apps {
		all = append(all, a.Name)
	}
	return all
}

func findHosts(ctx context.Context, _ *invocation, world *servers.Clients) []string {
	apps, _ := standing.Look(ctx, standing.Options{Servers: world, Explain: redismodule.Explain})
	var all []string
	for _, a := range apps {
		for _, h := range a.Hosts {
			all = append(all, h.Host)
		}
	}
	return all
}

// mostCompleted is how many runs are offered.
const mostCompleted = 20

// findRuns returns the last runs, with what each was.
func findRuns(_ context.Context, in *invocation, _ *servers.Clients) []string {
	dir, err := in.stateDir()
	if err != nil {
		return nil
	}
	var all []string
	_ = dir.Each(func(h *journal.Head) error {
		if h.Bad != nil {
			return nil
		}
		if all = append(all, printable(h.ID+"\t"+whatOf(&h.Header)+" for "+h.App+", "+h.Status())); len(all) == mostCompleted {
			return errEnough
		}
		return nil
	}) // what cannot be read is not offered
	return all
}

// findRunsAndApps is what logs takes.
func findRunsAndApps(ctx context.Context, in *invocation, world *servers.Clients) []string {
	return append(findApps(ctx, in, world), findRuns(ctx, in, world)...)
}
