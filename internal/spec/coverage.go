package spec

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/mepc/mepc-run/runtime"
)

// Coverage collects which lines of recipes, and of the files that they require,
// the runs of specs executed, and which of their effects. It is safe for
// concurrent use.
type Coverage struct {
	root    fs.FS
	library bool                // what ships with mepc-run counts, too
	types   []runtime.Type      // whose methods are effects
	funcs   map[string][]string // functions that are effects, by module

	mu    sync.Mutex
	files map[string]*coveredFile
	names map[program]string // what named has found
	calls map[[2]string]bool // what mutates has
}

// program is one that a recipe in a directory has loaded.
type program struct {
	dir, name string
	source    *byte
}

type coveredFile struct {
	lines map[int]int
	sites map[site]*siteCount
}

// site is a call that may be an effect: x:start() or docker.start().
type site struct {
	line         int
	global, name string
}

type siteCount struct {
	ran     int  // how often the call was made
	effects bool // one of them was an effect
}

// NewCoverage returns an empty Coverage of the recipes in root, which can call
// modules; with library, of what ships with mepc-run as well.
func NewCoverage(root fs.FS, modules []runtime.Module, library bool) *Coverage {
	c := &Coverage{root: root, library: library, funcs: map[string][]string{}, files: map[string]*coveredFile{}, names: map[program]string{}, calls: map[[2]string]bool{}}
	for _, m := range modules {
		for _, f := range m.Funcs {
			if f.Class.Mutates() {
				c.funcs[m.Name] = append(c.funcs[m.Name], f.Name)
			}
		}
		c.types = append(c.types, m.Types...)
	}
	return c
}

// add takes in what a run of the recipe called name executed.
func (c *Coverage) add(name string, ran *runtime.Cover, effects []*Effect) {
	c.mu.Lock()
	defer c.mu.Unlock()
	where := map[string]bool{}
	for _, e := range effects {
		where[e.Where+" "+e.Op[strings.LastIndexByte(e.Op, '.')+1:]] = true
	}
	for _, p := range ran.Programs() {
		if p.Vendored {
			continue
		}
		file := c.file(name, p.Name, p.Source)
		if file == nil {
			continue
		}
		for line, n := range p.Lines {
			file.lines[line] += n
		}
		for _, call := range p.Calls {
			if !c.mutates(call.Global, call.Name) {
				continue
			}
			s := site{call.Line, call.Global, call.Name}
			if file.sites[s] == nil {
				file.sites[s] = &siteCount{}
			}
			file.sites[s].ran += call.Count
			file.sites[s].effects = file.sites[s].effects || where[fmt.Sprintf("%s:%d %s", p.Name, call.Line, call.Name)]
		}
	}
}

// file returns the file of a program: one of the project, or, where that counts, one
// that ships with mepc-run; nil when it does not.
func (c *Coverage) file(recipe, program string, source []byte) *coveredFile {
	name := c.named(recipe, program, source)
	if name == "" && c.library {
		name = "(mepc-run) " + program
	}
	if name != "" && c.files[name] == nil {
		c.files[name] = &coveredFile{map[int]int{}, map[site]*siteCount{}}
	}
	return c.files[name]
}

// named returns the file of the project that a program is; "" when it ships with
// mepc-run. A recipe that is run by its name alone ships with it, unless the project has
// just that text.
func (c *Coverage) named(recipe, file string, source []byte) string {
	key := program{path.Dir(recipe), file, &source[0]}
	if name, known := c.names[key]; known {
		return name
	}
	c.names[key] = ""
	for _, dir := range []string{key.dir, "recipes"} {
		name := path.Join(dir, file)
		if text, err := fs.ReadFile(c.root, name); err == nil && bytes.Equal(text, source) {
			c.names[key] = name
			break
		}
	}
	return c.names[key]
}

// mutates reports whether a call by that name can be an effect.
func (c *Coverage) mutates(global, name string) bool {
	key := [2]string{global, name}
	does, known := c.calls[key]
	if !known {
		does = c.canMutate(global, name)
		c.calls[key] = does
	}
	return does
}

func (c *Coverage) canMutate(global, name string) bool {
	if global != "" {
		return slices.Contains(c.funcs[global], name)
	}
	for _, t := range c.types {
		for _, f := range t.Funcs {
			if f.Name == name && f.Class.Mutates() {
				return true
			}
		}
		if t.Method != nil {
			if f, err := t.Method(name); err == nil && f.Class.Mutates() {
				return true
			}
		}
	}
	return false
}

// FileCoverage records what was executed of one file.
type FileCoverage struct {
	Name    string   `json:"file"`
	Lines   int      `json:"lines"`
	Run     int      `json:"lines_run"`
	Effects int      `json:"effects"` // calls that are, or would be, effects
	Acted   int      `json:"effects_run"`
	Missed  []int    `json:"missed_lines,omitempty"`
	Idle    []string `json:"missed_effects,omitempty"` // line: call
}

// Files returns what was executed, by file name. A call that was made and was no
// effect, such as one of a method of the recipe's own, is not counted.
func (c *Coverage) Files() []FileCoverage {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []FileCoverage
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		f := c.files[name]
		out := FileCoverage{Name: name, Lines: len(f.lines)}
		for _, line := range slices.Sorted(maps.Keys(f.lines)) {
			if f.lines[line] > 0 {
				out.Run++
			} else {
				out.Missed = append(out.Missed, line)
			}
		}
		sites := slices.SortedFunc(maps.Keys(f.sites), func(a, b site) int { return cmp.Or(a.line-b.line, cmp.Compare(a.name, b.name)) })
		for _, s := range sites {
			switch n := f.sites[s]; {
			case n.effects:
				out.Effects++
				out.Acted++
			case n.ran == 0:
				out.Effects++
				out.Idle = append(out.Idle, fmt.Sprintf("%d: %s", s.line, strings.TrimPrefix(s.global+"."+s.name, ".")))
			}
		}
		all = append(all, out)
	}
	return all
}

// Total sums files up.
func Total(files []FileCoverage) FileCoverage {
	var t FileCoverage
	for _, f := range files {
		t.Lines, t.Run = t.Lines+f.Lines, t.Run+f.Run
		t.Effects, t.Acted = t.Effects+f.Effects, t.Acted+f.Acted
	}
	return t
}

// Percent returns how much of the lines and of the effects was executed, in percent.
func (f FileCoverage) Percent() (lines, effects float64) {
	return percent(f.Run, f.Lines), percent(f.Acted, f.Effects)
}

func percent(n, of int) float64 {
	if of == 0 {
		return 100
	}
	return float64(1000*n/of) / 10 // 99.96 is not 100
}

// Table writes the coverage for people.
func (c *Coverage) Table() string {
	files := c.Files()
	width := len("total")
	for _, f := range files {
		width = max(width, len(f.Name))
	}
	var b strings.Builder
	row := func(name string, f FileCoverage) {
		lines, effects := f.Percent()
		fmt.Fprintf(&b, "  %-*s  %5.1f%% of %4d lines", width, name, lines, f.Lines)
		if f.Effects > 0 {
			fmt.Fprintf(&b, "  %5.1f%% of %3d effects", effects, f.Effects)
		}
		b.WriteString("\n")
		if len(f.Missed) > 0 {
			fmt.Fprintf(&b, "      lines not run: %s\n", ranges(f.Missed))
		}
		if len(f.Idle) > 0 {
			fmt.Fprintf(&b, "      effects that never happened: %s\n", strings.Join(f.Idle, ", "))
		}
	}
	b.WriteString("coverage\n")
	for _, f := range files {
		row(f.Name, f)
	}
	row("total", Total(files))
	return b.String()
}

// ranges writes lines as 3-5, 9.
func ranges(lines []int) string {
	var parts []string
	for i := 0; i < len(lines); {
		j := i
		for j+1 < len(lines) && lines[j+1] == lines[j]+1 {
			j++
		}
		if i == j {
			parts = append(parts, fmt.Sprint(lines[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", lines[i], lines[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ", ")
}
