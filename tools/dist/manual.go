package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/mepc/mepc-run/internal/app"
)

// commandLine is mepc-run's, to be described.
func commandLine() *cobra.Command {
	return app.CommandLine(app.Env{Stdout: io.Discard, Stderr: io.Discard, Getenv: func(string) string { return "" }})
}

// writeManual writes a man page for each command.
func writeManual(dir, version string, date time.Time) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root := commandLine()
	root.DisableAutoGenTag = true
	header := doc.GenManHeader{Section: "1", Source: "mepc-run " + version, Manual: "mepc-run", Date: &date}
	return doc.GenManTree(root, &header, dir)
}

// writeCompletions writes the scripts for shells.
func writeCompletions(dir string) error {
	root := commandLine()
	for name, generate := range map[string]func(io.Writer) error{
		"mepc-run.bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"_mepc-run":     root.GenZshCompletion,
		"mepc-run.fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	} {
		var script strings.Builder
		if err := generate(&script); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
