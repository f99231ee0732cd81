// Command mepc-run runs deployment recipes written in Lua.
package main

import (
	"os"

	"github.com/mepc/mepc-run/internal/app"
)

// Set by the linker: see the Makefile.
var version, commit string

func main() {
	os.Exit(app.Main(app.Env{
		Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Version: version, Commit: commit,
	}, os.Args[1:]))
}
