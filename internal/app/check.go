package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/lint"
	"github.com/mepc/mepc-run/internal/say"
	"github.com/mepc/mepc-run/internal/spec"
	"github.com/mepc/mepc-run/recipes"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

const checkText = `Finds mistakes in recipes without running them: files that do not compile,
undefined and unused names, unknown options, literals of the wrong type,
undeclared parameters, unreachable code. Then it loads each file with every call
to a server denied. A PATH is a file, or a directory with its subdirectories;
the default is the current directory. Directories whose names begin with a dot
are skipped.

A comment on a line exempts it: -- check: ignore W201

The exit code is 0 when nothing was found and 1 when something was.

Checks (E: the run would fail there; W: probably not what was meant):
`

func checkCommand(in *invocation) *cobra.Command {
	k := &checker{runner: newRunner(in)}
	cmd := &cobra.Command{
		Use: "check [PATH ...]", Short: "Find mistakes in recipes without running them", Long: checkText + checkList(),
		Example: "  mepc-run check recipes\n  mepc-run check --json deploy.lua",
		RunE:    func(cmd *cobra.Command, args []string) error { return k.check(cmd.Context(), args) },
	}
	f := cmd.Flags()
	f.BoolVar(&k.flags.json, "json", false, "print one JSON object a line: each finding, then the result")
	k.pick(cmd, "quiet", "no-color", "max-source")
	return cmd
}

func checkList() string {
	var b strings.Builder
	for _, check := range lint.Checks() {
		for i, line := range fold(check.Doc, columns-8) {
			code := ""
			if i == 0 {
				code = check.Code
			}
			fmt.Fprintf(&b, "  %-4s  %s\n", code, line)
		}
	}
	return b.String()
}

// checkSteps bounds the loading of one file: it only declares and defines.
const checkSteps = 10_000_000

// checkTime bounds it, too, where steps are long.
const checkTime = 10 * time.Second

// checker is mepc-run check.
type checker struct {
	*runner
	world  *servers.Clients
	host   *runtime.Host
	linter *lint.Linter
	specs  *lint.Linter // knows the words of a spec
	files  int
	found  int
}

func (k *checker) check(ctx context.Context, paths []string) error {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	files, err := luaFiles(paths)
	if err != nil {
		return err
	}
	k.flags.Limits.Steps = checkSteps
	world := servers.Live(servers.Options{}) // no server is asked
	defer world.Close()
	host, err := k.hostFor(nil, k.flags.Limits)
	if err != nil {
		return err
	}
	k.world, k.host, k.linter = world, host, lint.New(host, k.flags.Limits)
	k.specs = lint.New(runtime.New(runtime.Options{Modules: spec.Words(host.Modules())}), k.flags.Limits)
	for _, file := range files {
		if err := k.file(ctx, file); err != nil {
			return err
		}
	}
	return k.end()
}

// luaFile is a file to be looked at, and the directory that it was found from.
type luaFile struct{ path, root string }

// luaFiles returns the files that paths name.
func luaFiles(paths []string) ([]luaFile, error) {
	var files []luaFile
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, failure.New(failure.NotFound, "no file or directory %s", path)
		case err != nil:
			return nil, failure.Wrap(failure.Invalid, failure.Innermost(err), "%s", path)
		case info.IsDir():
			below, err := luaFilesBelow(path)
			if err != nil {
				return nil, err
			}
			files = append(files, below...)
		case !info.Mode().IsRegular():
			return nil, failure.New(failure.Invalid, "%s is not a regular file", path)
		case filepath.Ext(path) != ".lua":
			return nil, failure.New(failure.Invalid, "%s is not a Lua file: its name must end in .lua", path)
		default:
			files = append(files, luaFile{path, filepath.Dir(path)})
		}
	}
	return files, nil
}

func luaFilesBelow(dir string) ([]luaFile, error) {
	var files []luaFile
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return failure.Wrap(failure.Invalid, failure.Innermost(err), "%s", path)
		case d.IsDir() && path != dir && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case !d.IsDir() && filepath.Ext(path) == ".lua":
			files = append(files, luaFile{path, dir})
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		return nil, failure.New(failure.NotFound, "no .lua file in or below %s", dir)
	}
	return files, err
}

// file looks at one file and prints what is found.
func (k *checker) file(ctx context.Context, file luaFile) error {
	text, err := k.read(file.path)
	if err != nil {
		return err
	}
	if strings.HasPrefix(string(text), "---@meta") || runtime.Vendored(filepath.ToSlash(file.path), text) {
		return nil // it is for editors, and never run, or was written for other programs
	}
	k.files++
	base := filepath.Base(file.path)
	trees, err := treesOf(file)
	if err != nil {
		return err
	}
	recipe, err := k.host.Load(base, text, trees[0])
	if err == nil && !recipe.Declares() { // a part of recipes: theirs may be any directory above
		recipe, err = k.host.Load(base, text, union(trees))
	} else {
		trees = trees[:1]
	}
	isSpec, linter := ofSpecs(file.path), k.linter
	if isSpec {
		linter = k.specs
	}
	findings := linter.File(lint.Source{Name: base, Text: text, Trees: append(trees, recipes.FS)})
	if err == nil && !isSpec {
		findings = append(findings, k.load(ctx, recipe, findings)...)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return k.show(file.path, findings)
}

// ofSpecs reports whether a file has a spec's words: it is one, or lies in a
// directory spec, for specs to require.
func ofSpecs(path string) bool {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	dirs := strings.Split(filepath.ToSlash(filepath.Dir(path)), "/")
	return strings.HasSuffix(path, "_spec.lua") || slices.Contains(dirs, "spec")
}

// read returns a file's text, and of one that is too large the beginning, which
// the linter finds too large, too.
func (k *checker) read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, failure.Innermost(err), "%s", path)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, failure.Innermost(err), "%s", path)
	}
	return text, nil
}

// treesOf returns the directories from which a file may require others: its own,
// and those above it up to where the search began, or at most two.
func treesOf(file luaFile) ([]fs.FS, error) {
	dir, err := filepath.Abs(filepath.Dir(file.path))
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, failure.Innermost(err), "%s", file.path)
	}
	top, err := filepath.Abs(file.root)
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, failure.Innermost(err), "%s", file.root)
	}
	var trees []fs.FS
	for above := 0; ; above++ {
		trees = append(trees, os.DirFS(dir))
		if dir == filepath.Dir(dir) || above >= 2 && len(dir) <= len(top) {
			return trees, nil
		}
		dir = filepath.Dir(dir)
	}
}

// union is trees laid over each other.
type union []fs.FS

// Open opens the first file of that name.
func (u union) Open(name string) (fs.File, error) {
	var first error
	for _, tree := range u {
		f, err := tree.Open(name)
		if err == nil {
			return f, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// load runs recipe up to its first call to a server.
func (k *checker) load(ctx context.Context, recipe *runtime.Recipe, known []lint.Finding) []lint.Finding {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTime, failure.New(failure.Timeout, "it took longer than %s", checkTime))
	defer cancel()
	err := failure.As(k.host.Try(ctx, recipe, k.world))
	if err == nil {
		return nil
	}
	f := lint.Finding{Line: 1, Col: 1, Code: lint.Load, Message: err.Error(), Hint: err.Hint}
	switch err.Kind {
	case failure.Limit, failure.Timeout:
		f.Message, f.Hint = fmt.Sprintf("it runs %d steps, or %s, before its first call to a server", checkSteps, checkTime), "look for a loop that never ends"
	}
	where, line, _ := strings.Cut(err.Where, ":")
	if n, numErr := strconv.Atoi(line); numErr == nil && where == recipe.Name {
		f.Line = n
	} else if err.Where != "" {
		f.Message = err.Where + ": " + f.Message
	}
	for _, other := range known {
		if other.Line == f.Line && other.Code[0] == 'E' {
			return nil // it is said already
		}
	}
	return []lint.Finding{f}
}

// finding is a line of --json.
type finding struct {
	Type    string `json:"type"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Code    string `json:"code"`
	Level   string `json:"level"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (k *checker) show(path string, findings []lint.Finding) error {
	var b strings.Builder
	style := k.styles(k.env.Stdout)
	slices.SortStableFunc(findings, func(a, b lint.Finding) int { return cmp.Or(a.Line-b.Line, a.Col-b.Col) })
	for _, f := range findings {
		k.found++
		level, color := "error", style.red
		if f.Code[0] == 'W' {
			level, color = "warning", style.yellow
		}
		if k.flags.json {
			line, err := json.Marshal(finding{"finding", path, f.Line, f.Col, f.Code, level, f.Message, f.Hint})
			if err != nil {
				return err
			}
			b.Write(append(line, '\n'))
			continue
		}
		fmt.Fprintf(&b, "%s:%d:%d: %s %s\n", printable(path), f.Line, f.Col, color(f.Code), oneLine(f.Message))
		if f.Hint != "" {
			fmt.Fprintf(&b, "    %s\n", style.dim(oneLine(f.Hint)))
		}
	}
	return k.print(b.String())
}

// end prints the overall result.
func (k *checker) end() error {
	if k.flags.json {
		status := "ok"
		if k.found > 0 {
			status = "found"
		}
		if err := k.print(fmt.Sprintf(`{"type":"result","status":%q,"files":%d,"findings":%d}`+"\n", status, k.files, k.found)); err != nil {
			return err
		}
	} else if !k.flags.quiet {
		what := "nothing was found"
		if k.found > 0 {
			what = say.Count(k.found, "finding")
		}
		fmt.Fprintf(k.env.Stderr, "%s in %s\n", what, say.Count(k.files, "file"))
	}
	if k.found > 0 {
		return shown{found{1, say.Count(k.found, "finding")}}
	}
	return nil
}
