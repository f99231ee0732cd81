// Package cli is the mepc-run command for programs that bring modules of their own.
// Start with Main: a program that calls it is mepc-run, and its recipes can call
// the program's modules, too. They stand in doc and in the editors' definitions;
// check, completion, rehearsals, specs, faults, the journal and mepc-run serve treat
// them as they treat docker and redis.
//
// What is stable: Main. What a recipe means, the flags and the exit codes change only
// with a note in the changelog. The version is 0, so that names may still change.
package cli

import (
	"os"

	"github.com/mepc/mepc-run/internal/app"
	"github.com/mepc/mepc-run/internal/fixture"
	"github.com/mepc/mepc-run/runtime"
)

// Set by the linker: see the Makefile.
var version, commit, date string

// Main runs the command line with further modules and ends the process. It must be
// all that main does: the program starts itself again for the runs of a server, and
// inside the containers of mepc-run test --real.
func Main(modules ...runtime.Module) {
	if code, played := fixture.Play(os.Args); played { // in a container of a spec's world
		os.Exit(code)
	}
	os.Exit(app.Main(app.Env{
		Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Version: version, Commit: commit, Date: date, Modules: modules,
	}, os.Args[1:]))
}
