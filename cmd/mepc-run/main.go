// Command mepc-run runs deployment recipes written in Lua.
package main

import (
	"os"

	"github.com/mepc/mepc-run/internal/app"
	"github.com/mepc/mepc-run/internal/fixture"
)

// Set by the linker: see the Makefile.
var version, commit string

func main() {
	if code, played := fixture.Play(os.Args); played { // in a container of a spec's world
		os.Exit(code)
	}
	os.Exit(app.Main(app.Env{
		Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Version: version, Commit: commit,
	}, os.Args[1:]))
}
