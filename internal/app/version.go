package app

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// ourPath is the path of this module.
const ourPath = "github.com/mepc/mepc-run"

// build is what mepc-run version prints.
type build struct {
	Version string `json:"version"` // of a tag, such as 1.2.0; devel without one
	Commit  string `json:"commit"`
	Date    string `json:"date"` // of the commit, RFC 3339
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func buildOf(env Env) build {
	b := build{env.Version, env.Commit, env.Date, runtime.Version(), runtime.GOOS, runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		own := ourModule(info)
		if b.Version == "" {
			b.Version = own.Version
		}
		for _, s := range info.Settings {
			switch {
			case own != &info.Main:
			case s.Key == "vcs.revision" && b.Commit == "":
				b.Commit = s.Value
			case s.Key == "vcs.time" && b.Date == "":
				b.Date = s.Value
			}
		}
	}
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "devel"
	}
	if b.Commit == "" {
		b.Commit = "unknown"
	}
	return b
}

// ourModule returns mepc-run among the modules of this program, which may be another's
// that brings modules for recipes.
func ourModule(info *debug.BuildInfo) *debug.Module {
	for _, d := range info.Deps {
		if d.Path == ourPath {
			return d
		}
	}
	return &info.Main
}

// String returns "mepc-run 1.2.0 (commit 1a2b3c4, 2026-11-30, go1.26)".
func (b build) String() string {
	date := ""
	if len(b.Date) >= len("2026-11-30") {
		date = b.Date[:len("2026-11-30")] + ", "
	}
	return fmt.Sprintf("mepc-run %s (commit %.12s, %s%s)", b.Version, b.Commit, date, b.Go)
}

func (in *invocation) version() error {
	b := buildOf(in.env)
	if in.flags.json {
		return json.NewEncoder(in.env.Stdout).Encode(b)
	}
	_, err := fmt.Fprintln(in.env.Stdout, b)
	return err
}

func versionCommand(in *invocation) *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "Print version, commit, date and Go version", Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return in.version() },
	}
	cmd.Flags().BoolVar(&in.flags.json, "json", false, "print it as one JSON object")
	return cmd
}
