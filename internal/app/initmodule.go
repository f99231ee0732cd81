package app

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/mepc/mepc-run/internal/failure"
	mepc "github.com/mepc/mepc-run/runtime"
)

// newModule holds the files of a new program with a module of its own. NAME stands for the
// module's name.
//
//go:embed newmodule
var newModule embed.FS

// writeModule writes to dir a Go program that is mepc-run with a module.
func (c *initCmd) writeModule(dir string) error {
	if err := (&Env{Modules: []mepc.Module{{Name: c.module}}}).checkModules(); err != nil {
		e := *failure.As(err)
		e.Kind, e.Message = failure.Usage, "--module "+c.module+": "+e.Message
		return &e
	}
	files := map[string]string{}
	if err := addTree(files, newModule, "newmodule", ""); err != nil {
		return err
	}
	version, goVersion := ourVersion()
	names := strings.NewReplacer("NAME", c.module, "GOVERSION", goVersion, "VERSION", version)
	for file, text := range files {
		files[file] = names.Replace(text)
	}
	next := [][2]string{
		{"go mod tidy", "fetch what it is made of"},
		{"go run . test", "run its spec"},
		{"go run . doc " + c.module, "the reference of the module"},
		{"go run . doc --stubs " + stubsDir, "definitions for editors"},
	}
	switch {
	case c.source != "":
		source, err := sourceTree(c.source)
		if err != nil {
			return err
		}
		files["go.mod"] += "\nreplace " + ourPath + " => " + strconv.Quote(source) + "\n"
	case version == noVersion:
		next = slices.Insert(next, 0, [2]string{"go mod edit -replace " + ourPath + "=DIR", "DIR has its sources: this is not a release"})
	}
	rc, err := starter.ReadFile("starter/luarc.json")
	if err != nil {
		return err
	}
	files[".luarc.json"] = string(rc)
	return c.writeFiles(dir, files, nil, next)
}

// sourceTree returns the absolute path of the sources of mepc-run in dir.
func sourceTree(dir string) (string, error) {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err == nil && !strings.HasPrefix(string(mod), "module "+ourPath+"\n") {
		err = fmt.Errorf("its go.mod is for another module")
	}
	if err != nil {
		return "", failure.Wrap(failure.Usage, failure.Innermost(err), "--source %s: not the sources of mepc-run", dir)
	}
	return filepath.Abs(dir)
}

// noVersion stands for a version of mepc-run that no proxy has.
const noVersion = "v0.0.0"

// ourVersion returns the version of mepc-run for a go.mod, and that of Go which it
// needs.
func ourVersion() (version, goVersion string) {
	version = noVersion
	if info, ok := debug.ReadBuildInfo(); ok {
		v := ourModule(info).Version
		if parsed, err := semver.StrictNewVersion(strings.TrimPrefix(v, "v")); err == nil && parsed.Metadata() == "" {
			version = v
		}
	}
	goVersion, _, _ = strings.Cut(strings.TrimPrefix(runtime.Version(), "go"), " ")
	if _, err := semver.NewVersion(goVersion); err != nil {
		goVersion = "1.26" // a development version
	}
	return version, goVersion
}
