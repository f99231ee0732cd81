package app_test

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mepc/mepc-run/internal/app"
	"github.com/mepc/mepc-run/internal/lab"
)

// TestMain makes the test binary the program: as "mepc-run" in PATH it is
// mepc-run, and otherwise it runs the tests, which share one lab.
func TestMain(m *testing.M) {
	testscript.Main(withLab{m}, map[string]func(){"mepc-run": program, "mepc-run-hangs": hangingProgram})
}

func program() {
	os.Exit(app.Main(app.Env{
		Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Version: "1.2.3", Commit: "0123456789abcdef", Date: "2026-11-30T15:04:05Z",
	}, os.Args[1:]))
}

type withLab struct{ m *testing.M }

func (w withLab) Run() int { return lab.Main(w.m) }
