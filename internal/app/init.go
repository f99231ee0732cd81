package app

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/reference"
	"github.com/mepc/mepc-run/internal/spec"
	"github.com/mepc/mepc-run/modules/lock"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/runtime"
)

// starter is what a new project begins with.
//
//go:embed starter
var starter embed.FS

// stubsDir is where a project has its stubs.
const stubsDir = ".mepc/stubs"

func (c *command) initCommand() *cobra.Command {
	return &cobra.Command{
		Use: "init [DIR]", Short: "Begin a project: a recipe, its spec, stubs for editors",
		Long: `Writes a small project that works: recipes/deploy.lua, spec/deploy_spec.lua, a
README.md, and for editors with the Lua language server .luarc.json and the
definitions of everything that recipes call. DIR is made when it is not there;
the default is the directory you are in. A file that is there already is never
overwritten: then nothing is written at all.`,
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			switch len(args) {
			case 0:
				return c.writeProject(".")
			case 1:
				return c.writeProject(args[0])
			}
			return failure.New(failure.Usage, "mepc-run init takes one directory, got %d", len(args))
		},
	}
}

// projectFiles returns the files of a new project by path.
func projectFiles() (map[string]string, error) {
	files := map[string]string{}
	err := fs.WalkDir(starter, "starter", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(starter, path)
		name := strings.TrimPrefix(path, "starter/")
		if name == "luarc.json" { // embedding leaves out what begins with a dot
			name = ".luarc.json"
		}
		files[name] = string(text)
		return err
	})
	for name, text := range stubFiles() {
		files[filepath.Join(stubsDir, name)] = text
	}
	return files, err
}

// stubFiles returns the definitions for editors.
func stubFiles() map[string]string {
	return reference.Stubs(documented())
}

// documented is everything that recipes and specs can call.
func documented() []runtime.Module {
	return append(modules(nil, std.Options{}, lock.Options{}, nil), spec.Modules()...)
}

// writeProject writes a new project to dir.
func (c *command) writeProject(dir string) error {
	files, err := projectFiles()
	if err != nil {
		return err
	}
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return failure.New(failure.Conflict, "%s is there, and is no directory", dir).WithHint("name another one")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return failure.Wrap(failure.Invalid, innermost(err), "%s", dir)
	}
	var names, there []string
	for name := range files {
		names = append(names, name)
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			there = append(there, name)
		}
	}
	slices.Sort(names)
	slices.Sort(there)
	if len(there) > 0 {
		return failure.New(failure.Conflict, "%s has %s already", dir, strings.Join(there, ", ")).
			WithHint("nothing was written; name an empty directory, or a new one: mepc-run init deploy")
	}
	for _, name := range names {
		if err := writeNew(filepath.Join(dir, name), files[name]); err != nil {
			return err
		}
	}
	var b strings.Builder
	for _, name := range names {
		if !strings.HasPrefix(name, stubsDir) {
			fmt.Fprintf(&b, "  %s\n", filepath.Join(dir, name))
		}
	}
	fmt.Fprintf(&b, "  %s  (definitions for editors)\n\nNext:\n", filepath.Join(dir, stubsDir))
	if dir != "." {
		fmt.Fprintf(&b, "  cd %s\n", dir)
	}
	b.WriteString(`  mepc-run check                               find mistakes, run nothing
  mepc-run test                                run the specs in simulated worlds
  mepc-run recipes/deploy.lua --help           what the recipe takes
  mepc-run -n recipes/deploy.lua image=NAME    rehearse it
  mepc-run doc                                 what recipes can call
`)
	return c.print(b.String())
}

// writeNew writes a file that must not be there, and its directory.
func writeNew(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return failure.Wrap(failure.Output, innermost(err), "make the directory %s", filepath.Dir(path))
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return failure.Wrap(failure.Output, innermost(err), "write %s", path)
	}
	if _, err = f.WriteString(text); err == nil {
		err = f.Close()
	}
	if err != nil {
		return failure.Wrap(failure.Output, innermost(err), "write %s", path)
	}
	return nil
}
