package app

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/reference"
	"github.com/mepc/mepc-run/runtime"
)

func (c *command) docCommand() *cobra.Command {
	stubs := ""
	cmd := &cobra.Command{
		Use: "doc [NAME]", Short: "Show the reference: modules, functions, errors, recipes",
		Long: `Shows what recipes can call. NAME is a module (docker), a function
(docker.create), a method (redis:multi, redis:linsert), errors, or a recipe that
mepc-run brings (bluegreen). Without it the modules are listed.`,
		Example: "  mepc-run doc docker.create\n  mepc-run doc redis:linsert",
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return append(shippedNames(), reference.Names(documented())...), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case stubs != "" && len(args) > 0:
				return failure.New(failure.Usage, "--stubs takes no name")
			case stubs != "":
				return c.writeStubs(stubs)
			case len(args) > 1:
				return failure.New(failure.Usage, "mepc-run doc takes one name, got %d", len(args))
			case len(args) == 0:
				return c.doc(cmd.Context(), "")
			}
			return c.doc(cmd.Context(), args[0])
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&stubs, "stubs", "", "write definitions for the Lua language server to `DIR`")
	c.pick(f, "no-color")
	return cmd
}

func (c *command) doc(ctx context.Context, name string) error {
	if slices.Contains(shippedNames(), name) {
		return c.recipeHelp(ctx, name)
	}
	style := c.styles(c.env.Stdout)
	page, err := reference.Terminal(documented(), name, reference.Style{Bold: style.bold, Dim: style.dim})
	if err != nil {
		e := *failure.As(err)
		if similar := runtime.DidYouMean(name, append(shippedNames(), reference.Names(documented())...)); similar != "" {
			e.Message = "nothing is called " + name + similar
		}
		return &e
	}
	if name == "" {
		page += "\nRecipes that mepc-run brings: " + nameList() + ".\n"
	}
	return c.print(page)
}

// writeStubs writes the definitions to dir, over older ones.
func (c *command) writeStubs(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return failure.Wrap(failure.Output, innermost(err), "make the directory %s", dir)
	}
	for name, text := range stubFiles() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return failure.Wrap(failure.Output, innermost(err), "write %s", filepath.Join(dir, name))
		}
	}
	return nil
}
