package app

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionLine returns "mepc-run 1.2.0 (commit 1a2b3c4, go1.26)".
func versionLine(env Env) string {
	version, commit := env.Version, env.Commit
	if info, ok := debug.ReadBuildInfo(); ok {
		if version == "" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && commit == "" {
				commit = s.Value
			}
		}
	}
	if version == "" || version == "(devel)" {
		version = "devel"
	}
	if commit == "" {
		commit = "unknown"
	}
	return fmt.Sprintf("mepc-run %s (commit %.12s, %s)", version, commit, runtime.Version())
}
