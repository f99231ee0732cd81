package app

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/address"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/reference"
	"github.com/mepc/mepc-run/internal/spec"
	"github.com/mepc/mepc-run/recipes"
	"github.com/mepc/mepc-run/runtime"
)

// starter holds the files of a new project.
//
//go:embed starter starter_app
var starter embed.FS

// beginning says what a project begins with.
type beginning struct {
	from    string // a recipe that ships with mepc-run, to be changed
	lib     bool   // with the library
	app     string // an app whose recipe it is
	host    string
	port    int
	envFile string
	module  string // a module of a Go program that it is
	source  string // the tree of mepc-run to build that from
}

// stubsDir is the directory of a project's stubs.
const stubsDir = ".mepc/stubs"

// initCmd is mepc-run init.
type initCmd struct {
	*invocation
	beginning
}

func initCommand(in *invocation) *cobra.Command {
	c := &initCmd{invocation: in}
	cmd := &cobra.Command{
		Use: "init [DIR]", Short: "Start a project: a recipe, its spec, stubs for editors",
		Long: `Writes a small project that works: recipes/deploy.lua, spec/deploy_spec.lua, a
README.md, and for editors with the Lua language server .luarc.json and the
definitions of everything that recipes call. DIR is created if missing; the
default is the current directory. Existing files are never overwritten: if one
is in the way, nothing is written.

With --app the recipe deploys your application: the whole command is then
mepc-run recipes/deploy.lua image=shop:1.1. With --from a recipe that ships with
mepc-run is copied into the project for you to change; --lib copies the library,
too, and the project's copy is then used instead of the built-in one.

With --module the project is a Go program: mepc-run with a module of your own,
which has a function that reads and one that writes, a recipe and its spec.`,
		Example:               "  mepc-run init --app shop --host shop.example.com --port 8000 --env-file .env\n  mepc-run init --from bluegreen --lib\n  mepc-run init --module slack deploy-slack",
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			switch len(args) {
			case 0:
				return c.run(".")
			case 1:
				return c.run(args[0])
			}
			return failure.New(failure.Usage, "mepc-run init takes one directory, got %d", len(args))
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&c.app, "app", "", "the `NAME` of your application, which its containers are named after")
	f.StringVar(&c.host, "host", "", "with --app: the host whose traffic it gets (default the app's name)")
	f.IntVar(&c.port, "port", 0, "with --app: the port it listens on (default: the port the image exposes)")
	f.StringVar(&c.envFile, "env-file", "", "with --app: a `FILE` with its environment, beside the recipe")
	f.StringVar(&c.from, "from", "", "copy this shipped `RECIPE` into the project, to be changed")
	f.BoolVar(&c.lib, "lib", false, "with --from: the library, too")
	f.StringVar(&c.module, "module", "", "write a Go program: mepc-run with a module `NAME`")
	f.StringVar(&c.source, "source", "", "with --module: build it from the mepc-run sources in `DIR`, not from a release")
	return cmd
}

// check says what is wrong with what was asked for.
func (b *beginning) check() error {
	switch {
	case b.source != "" && b.module == "":
		return failure.New(failure.Usage, "--source needs --module")
	case b.module != "" && (b.from != "" || b.app != ""):
		return failure.New(failure.Usage, "--module cannot be combined with --from or --app")
	case b.from != "" && b.app != "":
		return failure.New(failure.Usage, "--from and --app cannot be used together")
	case b.lib && b.from == "":
		return failure.New(failure.Usage, "--lib needs --from").WithHint("mepc-run init --from bluegreen --lib")
	case b.app == "" && (b.host != "" || b.port != 0 || b.envFile != ""):
		return failure.New(failure.Usage, "--host, --port and --env-file need --app").WithHint("mepc-run init --app shop --host shop.example.com")
	case b.from != "" && !slices.Contains(shippedNames(), b.from):
		return failure.New(failure.NotFound, "unknown recipe %s%s", b.from, runtime.DidYouMean(b.from, shippedNames())).WithHint("there are %s", nameList())
	case b.app != "" && !appName().MatchString(b.app):
		return failure.New(failure.Usage, "--app: %q is not an application's name", b.app).WithHint("use letters, digits, _, . and -, the first a letter or a digit")
	case b.port < 0 || b.port > 65535:
		return failure.New(failure.Usage, "--port: %d is not a port", b.port)
	case b.envFile != "" && !fs.ValidPath(b.envFile):
		return failure.New(failure.Usage, "--env-file: %q is not beside the recipe", b.envFile).WithHint("name it relative to recipes/, such as .env")
	}
	if a, ok := address.Parse(b.host); b.host != "" && (!ok || a.Scheme != "" || a.Port != 0) {
		return failure.New(failure.Usage, "--host: %q is not a host", b.host).WithHint("write just the name, such as shop.example.com")
	}
	return nil
}

var appName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][\w.-]{0,99}$`) })

// fill writes the app's names into a template.
func (b *beginning) fill(text string) string {
	host, port, exposed, env := strings.ToLower(cmp.Or(b.host, b.app)), "", cmp.Or(b.port, 8080), ""
	if b.port > 0 {
		port = fmt.Sprintf("declared.port.default = %d\n", b.port)
	}
	if b.envFile != "" {
		env = fmt.Sprintf("declared.env_file.default = {%q}\n", b.envFile)
	}
	return strings.NewReplacer("@APP@", b.app, "@HOST@", host, "@PORT@", port, "@ENV@", env, "@IMAGE@", strings.ToLower(b.app), "@EXPOSED@", strconv.Itoa(exposed)).Replace(text)
}

// projectFiles returns the files of a new project by path.
func (e *Env) projectFiles(b *beginning) (map[string]string, error) {
	files := map[string]string{}
	tree := func(from fs.FS, root, into string) error { return addTree(files, from, root, into) }
	if err := tree(starter, "starter", ""); err != nil {
		return nil, err
	}
	var err error
	switch {
	case b.app != "":
		err = tree(starter, "starter_app", "")
		for _, name := range []string{"recipes/deploy.lua", "spec/deploy_spec.lua"} {
			files[name] = b.fill(files[name])
		}
		files["README.md"] = strings.ReplaceAll(files["README.md"], "mepc/app", strings.ToLower(b.app))
		if b.envFile != "" {
			files["recipes/"+b.envFile] = "# The environment of " + b.app + ": NAME=value, one a line, as docker compose reads it.\n"
		}
	case b.from != "":
		delete(files, "recipes/deploy.lua")
		delete(files, "spec/deploy_spec.lua")
		delete(files, "README.md")
		delete(files, hidden["ci.yml"]) // there is no spec yet
		var text []byte
		text, err = fs.ReadFile(recipes.FS, b.from+".lua")
		files["recipes/"+b.from+".lua"] = string(text)
		if err == nil && b.lib {
			err = tree(recipes.FS, "lib", "recipes/lib/")
		}
	}
	files[".luacheckrc"] = reference.Luacheckrc(e.plain(), spec.Words(e.plain()))
	for name, text := range e.stubFiles() {
		files[filepath.Join(stubsDir, name)] = text
	}
	return files, err
}

// hidden are the names of files that begin with a dot, by what they are called here.
var hidden = map[string]string{"luarc.json": ".luarc.json", "stylua.toml": ".stylua.toml", "ci.yml": ".github/workflows/mepc-run.yml"}

// addTree adds the files below root. Embedding leaves out what begins with a dot, and
// Go would be compiled: such files have other names there.
func addTree(files map[string]string, from fs.FS, root, into string) error {
	return fs.WalkDir(from, root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(from, path)
		name := into + strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(path, root), "/"), ".txt")
		if real, ok := hidden[name]; ok {
			name = real
		}
		files[name] = string(text)
		return err
	})
}

// stubFiles returns the definitions for editors.
func (e *Env) stubFiles() map[string]string {
	files := reference.Stubs(e.documented())
	maps.Copy(files, reference.LibraryStubs(recipes.Libraries()))
	return files
}

// run writes a new project to dir.
func (c *initCmd) run(dir string) error {
	if err := c.check(); err != nil {
		return err
	}
	if c.module != "" {
		return c.writeModule(dir)
	}
	files, err := c.env.projectFiles(&c.beginning)
	if err != nil {
		return err
	}
	var mine []string // they stay as they are
	if c.envFile != "" {
		mine = append(mine, "recipes/"+c.envFile)
	}
	for name := range files {
		if c.from != "" && strings.HasPrefix(name, ".") {
			mine = append(mine, name)
		}
	}
	recipe := "recipes/" + cmp.Or(c.from, "deploy") + ".lua"
	next := [][2]string{
		{"mepc-run check", "find mistakes, run nothing"},
		{"mepc-run test", "run the specs in simulated worlds"},
		{"mepc-run " + recipe + " --help", "what the recipe takes"},
		{"mepc-run -n " + recipe + " image=NAME", "rehearse it"},
		{"mepc-run doc", "what recipes can call"},
	}
	if c.from != "" {
		next = slices.Delete(next, 1, 2)
	}
	return c.writeFiles(dir, files, mine, next)
}

// writeFiles writes files to dir and says what is next. None is written when one is
// there, but for those in mine, which are left out then.
func (c *initCmd) writeFiles(dir string, files map[string]string, mine []string, next [][2]string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return failure.New(failure.Conflict, "%s exists and is not a directory", dir).WithHint("name another one")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return failure.Wrap(failure.Invalid, failure.Innermost(err), "%s", dir)
	}
	var names, there []string
	for name := range files {
		if slices.Contains(mine, name) {
			if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
				continue // it is yours
			}
		}
		names = append(names, name)
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			there = append(there, name)
		}
	}
	slices.Sort(names)
	slices.Sort(there)
	if len(there) > 0 {
		return failure.New(failure.Conflict, "%s already has %s", dir, strings.Join(there, ", ")).
			WithHint("nothing was written; name an empty directory, or a new one: mepc-run init deploy")
	}
	for _, name := range names {
		if err := writeNew(filepath.Join(dir, name), files[name]); err != nil {
			return err
		}
	}
	var out strings.Builder
	for _, name := range names {
		if !strings.HasPrefix(name, stubsDir) {
			fmt.Fprintf(&out, "  %s\n", filepath.Join(dir, name))
		}
	}
	if len(files[filepath.Join(stubsDir, "docker.lua")]) > 0 {
		fmt.Fprintf(&out, "  %s  (definitions for editors)\n", filepath.Join(dir, stubsDir))
	}
	out.WriteString("\nNext:\n")
	if dir != "." {
		fmt.Fprintf(&out, "  cd %s\n", dir)
	}
	for _, line := range next {
		fmt.Fprintf(&out, "  %-43s  %s\n", line[0], line[1])
	}
	return c.print(out.String())
}

// writeNew writes a file that must not be there, and its directory.
func writeNew(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return failure.Wrap(failure.Output, failure.Innermost(err), "make the directory %s", filepath.Dir(path))
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return failure.Wrap(failure.Output, failure.Innermost(err), "write %s", path)
	}
	if _, err = f.WriteString(text); err == nil {
		err = f.Close()
	}
	if err != nil {
		return failure.Wrap(failure.Output, failure.Innermost(err), "write %s", path)
	}
	return nil
}
