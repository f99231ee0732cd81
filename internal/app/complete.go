package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/runtime"
)

// complete offers recipes, then the parameters of the one that is named and the
// values that an enum or a boolean can have. No server is asked.
func (c *command) complete(_ *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return shippedNames(), cobra.ShellCompDirectiveDefault // and files
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, declared, err := c.describe(ctx, args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if name, _, ok := strings.Cut(toComplete, "="); ok {
		return completeValue(declared, name)
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

func completeValue(declared []runtime.Param, name string) ([]string, cobra.ShellCompDirective) {
	i := slices.IndexFunc(declared, func(p runtime.Param) bool { return p.Name == name })
	if i < 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	values := declared[i].Values
	if declared[i].Type == "boolean" {
		values = []string{"true", "false"}
	}
	var out []string
	for _, v := range values {
		out = append(out, name+"="+v)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeFlags offers the values of the flags that have a few.
func (c *command) completeFlags(root *cobra.Command) {
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
