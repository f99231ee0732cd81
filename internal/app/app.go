// Package app is the mepc-run command: its flags, the wiring of a run, and its
// exit codes. It is the only package that touches the process: signals,
// environment, terminal. Start with Main.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/runtime"
)

// Env is the process as the command sees it.
type Env struct {
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// Version and Commit are set by the linker; empty: read from the build.
	Version, Commit string
}

// Main runs the command with args, without the program's name, and returns its
// exit code.
func Main(env Env, args []string) int {
	ctx, abort, stop := signals()
	defer stop()
	c := &command{env: env, abort: abort}
	root := c.root()
	root.SetArgs(args)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	if c.helpErr != nil {
		err = c.helpErr
	}
	if err != nil && !errors.As(err, new(shown)) {
		if failure.As(err) == nil {
			err = failure.New(failure.Usage, "%s", err).WithHint("mepc-run --help lists commands and flags")
		}
		// A wrong flag ends the parsing, maybe before --json was seen.
		c.flags.json = c.flags.json || slices.Contains(args, "--json")
		rep := c.report(c.recipe)
		rep.Finish(err, 0, 0, nil)
		rep.Close()
	}
	return c.exitCode(err)
}

// shown is an error that the user has seen already.
type shown struct{ err error }

func (s shown) Error() string { return s.err.Error() }
func (s shown) Unwrap() error { return s.err }

// command is one invocation.
type command struct {
	env     Env
	abort   context.Context // ends at the second signal
	flags   flags
	journal *journal.Journal // of the run under way; nil: it has none
	tell    func(string)     // tells its user something; nil: there is none
	recipe  string           // as the user named it
	// pinned are the files of the only recipe that a worker loads, and pinnedFile is
	// which of them it is.
	pinned     reload.Files
	pinnedFile string
	// helpErr is what went wrong in a help function, which cannot return it.
	helpErr error
	changes bool          // a rehearsal found something to do
	made    *runtime.Host // see host
	// compiled is what several hosts of this invocation share.
	compiled runtime.Cache
}

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "mepc-run RECIPE [name=value ...]",
		Short: "Run deployment recipes written in Lua against Docker engines and Redis",
		Long: `mepc-run runs a recipe: a Lua script that deploys to Docker engines and switches
traffic in Redis. RECIPE is a file, or a recipe that mepc-run brings:
` + twoLines(shippedNames()) + ".",
		Args:              cobra.ArbitraryArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		ValidArgsFunction: c.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case c.flags.version:
				return c.version()
			case len(args) == 0:
				return failure.New(failure.Usage, "no recipe is named").
					WithHint("mepc-run RECIPE --help tells what a recipe takes; it brings %s\nmepc-run --help lists commands and flags", nameList())
			}
			if c.flags.rehearsal.on {
				return c.rehearse(cmd, args[0], args[1:])
			}
			return c.run(cmd.Context(), args[0], args[1:])
		},
	}
	c.flags.add(root)
	c.completeFlags(root)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		switch name := cmd.Flags().Arg(0); {
		case cmd != root:
			c.helpErr = c.commandHelp(cmd)
		case name != "":
			c.helpErr = c.recipeHelp(cmd.Context(), name)
		default:
			c.helpErr = c.rootHelp(root)
		}
	})
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.DisableDefaultCmd = true // ours refuses a shell it does not know
	root.AddCommand(c.applyCommand(), c.worldCommand(), c.testCommand(), c.checkCommand(),
		c.runsCommand(), c.showCommand(), c.logsCommand(), c.historyCommand(), c.resumeCommand(), c.abortCommand(), c.lockCommand(),
		c.routerCommand(), c.completionCommand(), c.versionCommand())
	root.AddCommand(c.serveCommand(), c.triggerCommand(), c.statusCommand(), c.pauseCommand(), c.approveCommand(), c.reconcileCommand(), c.resumeQueueCommand(), c.workerCommand())
	root.AddCommand(c.docCommand(), c.initCommand(), c.doctorCommand(), c.watchCommand())
	root.AddCommand(c.topics()...)
	root.SetHelpCommand(c.helpCommand())
	return root
}

func (c *command) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print version, commit and Go version", Args: noArgs,
		DisableFlagsInUseLine: true,
		RunE:                  func(*cobra.Command, []string) error { return c.version() },
	}
}

func (c *command) version() error {
	_, err := fmt.Fprintln(c.env.Stdout, versionLine(c.env))
	return err
}
