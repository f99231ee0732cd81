package app

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/reference"
	"github.com/mepc/mepc-run/recipes"
	"github.com/mepc/mepc-run/runtime"
)

// docCmd is mepc-run doc.
type docCmd struct {
	*runner
	stubs string
}

func docCommand(in *invocation) *cobra.Command {
	c := &docCmd{runner: newRunner(in)}
	cmd := &cobra.Command{
		Use: "doc [NAME]", Short: "Show the reference: modules, functions, errors, recipes",
		Long: `Shows what recipes can call. NAME is a module (docker), a function
(docker.create), a method (redis:multi, redis:linsert), errors, a recipe that
ships with mepc-run (bluegreen), or a part of its library (lib.deployment).
Without it the modules are listed.`,
		Example: "  mepc-run doc docker.create\n  mepc-run doc redis:linsert",
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return append(slices.Concat(shippedNames(), libraryNames()), reference.Names(c.env.documented())...), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case c.stubs != "" && len(args) > 0:
				return failure.New(failure.Usage, "--stubs takes no name")
			case c.stubs != "":
				return c.writeStubs(c.stubs)
			case len(args) > 1:
				return failure.New(failure.Usage, "mepc-run doc takes one name, got %d", len(args))
			case len(args) == 0:
				return c.doc(cmd.Context(), "")
			}
			return c.doc(cmd.Context(), args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.stubs, "stubs", "", "write definitions for the Lua language server to `DIR`")
	c.pick(cmd, "no-color")
	return cmd
}

func (c *docCmd) doc(ctx context.Context, name string) error {
	if slices.Contains(shippedNames(), name) {
		return c.recipeHelp(ctx, name)
	}
	style := c.styles(c.env.Stdout)
	for _, l := range recipes.Libraries() {
		if l.Name == name {
			return c.print(reference.LibraryText(l, reference.Style{Bold: style.bold, Dim: style.dim}))
		}
	}
	page, err := reference.Terminal(c.env.documented(), name, reference.Style{Bold: style.bold, Dim: style.dim})
	if err != nil {
		e := *failure.As(err)
		if similar := runtime.DidYouMean(name, slices.Concat(shippedNames(), libraryNames(), reference.Names(c.env.documented()))); similar != "" {
			e.Message = "nothing is called " + name + similar
		}
		return &e
	}
	if name == "" {
		page += "\nRecipes that ship with mepc-run: " + nameList() + ".\nThe library they are built from: " + strings.Join(libraryNames(), ", ") + ".\n"
	}
	return c.print(page)
}

// libraryNames returns the parts of the library.
func libraryNames() []string {
	var names []string
	for _, l := range recipes.Libraries() {
		names = append(names, l.Name)
	}
	return names
}

// writeStubs writes the definitions to dir, over older ones.
func (c *docCmd) writeStubs(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return failure.Wrap(failure.Output, failure.Innermost(err), "make the directory %s", dir)
	}
	for name, text := range c.env.stubFiles() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return failure.Wrap(failure.Output, failure.Innermost(err), "write %s", filepath.Join(dir, name))
		}
	}
	return nil
}
