package app

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/servers"
)

// columns is the width that help keeps to.
const columns = 80

const usageText = `
Usage:
  mepc-run RECIPE [name=value ...] [flags]
  mepc-run RECIPE --help     what a recipe does and takes; contacts no server
  mepc-run COMMAND [flags]

Examples:
  mepc-run bluegreen image=mepc/app:1.1
  mepc-run recipes/bluegreen.lua --var-file production.json --timeout 10m

Commands:
`

// helpCmd is mepc-run help, and --help of each command.
type helpCmd struct{ *runner }

// root prints the help of mepc-run itself.
func (c *helpCmd) root(root *cobra.Command) error {
	var b strings.Builder
	b.WriteString(root.Long + "\n" + usageText)
	for _, runnable := range []bool{true, false} {
		for _, sub := range root.Commands() {
			if sub.Runnable() != runnable || sub.Hidden {
				continue
			}
			name := sub.Name()
			if !runnable {
				name = "help " + name
			}
			fmt.Fprintf(&b, "  %-16s  %s\n", name, sub.Short)
		}
	}
	for _, g := range new(flags).groups() {
		fmt.Fprintf(&b, "\n%s:\n%s", g.title, g.FlagUsagesWrapped(columns))
	}
	_, err := io.WriteString(c.env.Stdout, b.String())
	return err
}

// command prints the help of a command other than mepc-run itself.
func (c *helpCmd) command(cmd *cobra.Command) error {
	var b strings.Builder
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	b.WriteString(strings.TrimSpace(about) + "\n")
	if cmd.Runnable() {
		fmt.Fprintf(&b, "\nUsage:\n  %s\n", cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		for _, sub := range cmd.Commands() {
			fmt.Fprintf(&b, "  %s %-12s  %s\n", cmd.CommandPath(), sub.Name(), sub.Short)
		}
	}
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.Runnable() && cmd.HasAvailableLocalFlags() {
		fmt.Fprintf(&b, "\nFlags:\n%s", cmd.LocalFlags().FlagUsagesWrapped(columns))
	}
	_, err := io.WriteString(c.env.Stdout, b.String())
	return err
}

// define is "mepc-run help [COMMAND or RECIPE]".
func (c *helpCmd) define() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND | RECIPE]", Short: "Help about a command, a recipe or a topic",
		DisableFlagsInUseLine: true,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			names, directive := c.complete(cmd, args, toComplete)
			for _, sub := range cmd.Root().Commands() {
				if !sub.Hidden && len(args) == 0 {
					names = append(names, sub.Name()+"\t"+sub.Short)
				}
			}
			return names, directive
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			if len(args) == 0 {
				return c.root(root)
			}
			if sub, _, err := root.Find(args); err == nil && sub != root {
				return c.command(sub)
			}
			return c.recipeHelp(cmd.Context(), args[0])
		},
	}
}

// topics are commands that only have help.
func topics() []*cobra.Command {
	var codes strings.Builder
	codes.WriteString("The exit code says what kind of error ended the run; a recipe reads the kind as\nerr.kind.\n\n")
	fmt.Fprintf(&codes, "  %4d  %-16s  %s\n", 0, "", "done, or nothing to do")
	for _, k := range failure.Kinds() {
		for i, line := range fold(k.Doc, columns-26) {
			if i == 0 {
				fmt.Fprintf(&codes, "  %4d  %-16s  %s\n", k.Exit, k.Kind, line)
			} else {
				fmt.Fprintf(&codes, "%26s%s\n", "", line)
			}
		}
	}
	return []*cobra.Command{
		{Use: "exit-codes", Short: "What the exit codes mean", Long: strings.TrimSpace(codes.String())},
		{Use: "journal", Short: "What is kept of each run, and where", Long: journalText},
		{Use: "rehearsal", Short: "Trying a recipe before it touches anything", Long: rehearsalText},
		{Use: "servers", Short: "How engines, Redis and routers are named", Long: fmt.Sprintf(serversText, redisForms())},
	}
}

// serversText is the help topic about endpoints.
const serversText = `Docker engine: --docker, else --context, else DOCKER_HOST, else DOCKER_CONTEXT
or the docker CLI's current context, else unix:///var/run/docker.sock.
DOCKER_TLS_VERIFY and DOCKER_CERT_PATH are read as the docker CLI reads them.

  unix:///var/run/docker.sock       this machine
  ssh://deploy@host                 by ssh and the docker CLI on that host
  tcp://host:2376                   with TLS; without it only on loopback, or
                                    with --insecure-docker

Redis: --redis, else REDIS_URL, else redis://127.0.0.1:6379.

%s

Routers: --router, else MEPC_ROUTER; several are separated by commas. Recipes
confirm a switch through each of them. None: a switch is not confirmed.

  http://127.0.0.1:8080`

// redisForms returns the forms of a Redis URL, each above what it means.
func redisForms() string {
	var b strings.Builder
	for line := range strings.Lines(servers.RedisForms) {
		form, meaning, _ := strings.Cut(strings.TrimSpace(line), "  ")
		fmt.Fprintf(&b, "  %s\n        %s\n", form, strings.TrimSpace(meaning))
	}
	return strings.TrimRight(b.String(), "\n")
}
