// Package app is the mepc-run command: its flags, the wiring of a run, and its
// exit codes. It is the only package that touches the process: signals,
// environment, terminal. Start with Main.
package app

import (
	"errors"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// Env is the process as the command sees it.
type Env struct {
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// Version, Commit and its Date are set by the linker; empty: read from the build.
	Version, Commit, Date string
	// Modules are added to the modules that ship with mepc-run.
	Modules []runtime.Module
}

// Main runs the command with args, without the program's name, and returns its
// exit code.
func Main(env Env, args []string) int {
	ctx, abort, stop := signals()
	defer stop()
	in := &invocation{env: env, abort: abort}
	last := in.watchdog()
	defer last.stop() // before the contexts end
	last.afterEnd(abort, overtime)
	root := commandLine(in)
	root.SetArgs(args)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := env.checkModules()
	if err == nil {
		err = failure.Protect(func() error { return root.ExecuteContext(ctx) })
	}
	if in.helpErr != nil {
		err = in.helpErr
	}
	if err != nil && !errors.As(err, new(shown)) {
		if failure.As(err) == nil {
			err = failure.New(failure.Usage, "%s", err).WithHint("mepc-run --help lists commands and flags")
		}
		// A wrong flag ends the parsing, maybe before --json was seen.
		in.flags.json = in.flags.json || slices.Contains(args, "--json")
		err = in.bug(err)
		rep := in.report(in.recipe)
		rep.Finish(err, 0, 0, nil)
		_ = rep.Close()
	}
	return in.exitCode(err)
}

// CommandLine returns the commands, for their manual and completion scripts.
func CommandLine(env Env) *cobra.Command { return commandLine(&invocation{env: env}) }

// commands are the subcommands of mepc-run.
func commands() []func(*invocation) *cobra.Command {
	return []func(*invocation) *cobra.Command{
		applyCommand, reconcileCommand, watchCommand, worldCommand,
		testCommand, replCommand, checkCommand, docCommand, initCommand, doctorCommand,
		runsCommand, showCommand, logsCommand, historyCommand, resumeCommand, abortCommand, approveCommand, lockCommand,
		routerCommand, serveCommand, workerCommand, loadCommand,
		triggerCommand, statusCommand, psCommand, pauseCommand, resumeQueueCommand,
		completionCommand, versionCommand,
	}
}

func commandLine(in *invocation) *cobra.Command {
	c := newRunCmd(in)
	root := &cobra.Command{
		Use:   "mepc-run RECIPE [name=value ...]",
		Short: "Run deployment recipes written in Lua against Docker engines and Redis",
		Long: `mepc-run runs a recipe: a Lua script that deploys to Docker engines and switches
traffic in Redis. RECIPE is a file, or a recipe that ships with mepc-run:
` + twoLines(shippedNames()) + ".",
		Args:              cobra.ArbitraryArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		ValidArgsFunction: c.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case in.flags.version:
				return in.version()
			case len(args) == 0:
				return failure.New(failure.Usage, "no recipe given").
					WithHint("mepc-run RECIPE --help shows a recipe's parameters; these ship with mepc-run: %s\nmepc-run --help lists commands and flags", nameList())
			}
			return c.run(cmd, args[0], args[1:])
		},
	}
	in.flags.add(root)
	completeFlags(root)
	help := &helpCmd{c.runner}
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		switch name := cmd.Flags().Arg(0); {
		case cmd != root:
			in.helpErr = help.command(cmd)
		case name != "":
			in.helpErr = help.recipeHelp(cmd.Context(), name)
		default:
			in.helpErr = help.root(root)
		}
	})
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.DisableDefaultCmd = true // ours refuses a shell it does not know
	for _, define := range commands() {
		root.AddCommand(define(in))
	}
	root.AddCommand(topics()...)
	root.SetHelpCommand(help.define())
	known(root)
	return root
}

// known gives the errors of commands a kind that have none: what is left without is of
// cobra, which does not know the command line.
func known(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			err := run(cmd, args)
			if err == nil || failure.As(err) != nil || errors.As(err, new(shown)) {
				return err
			}
			return failure.Wrap(failure.Internal, err, "unexpected")
		}
	}
	for _, sub := range cmd.Commands() {
		known(sub)
	}
}
