package reference_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/spec"
	"github.com/mepc/mepc-run/runtime"
)

// function is a function or method of a module, with the name tests know it by.
type function struct {
	name string
	runtime.Func
}

// functions returns the functions and methods of m, but not those that an
// object has in common with the module.
func functions(m runtime.Module) []function {
	var all []function
	seen := map[string]bool{}
	for _, f := range m.Funcs {
		all = append(all, function{strings.Trim(m.Name+"."+f.Name, "."), f})
		seen[f.Name+f.Doc] = true
	}
	for _, t := range m.Types {
		for _, f := range t.Funcs {
			if !seen[f.Name+f.Doc] {
				all = append(all, function{t.Name + ":" + f.Name, f})
			}
		}
	}
	return all
}

var snake = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

func TestEveryFunctionSaysWhatItDoes(t *testing.T) {
	for _, m := range append(documented(), spec.Modules()...) {
		sentence(t, "module "+m.Name, m.Doc)
		for _, typ := range m.Types {
			sentence(t, "type "+typ.Name, typ.Doc)
		}
		for _, f := range functions(m) {
			sentence(t, f.name, f.Doc)
			if f.Name != "" && !f.Value && !snake.MatchString(f.Name) {
				t.Errorf("%s: the name is not lower_snake", f.name)
			}
			if f.Example == "" {
				t.Errorf("%s has no example", f.name)
			}
			if f.Class != runtime.Pure && f.From == "" {
				t.Errorf("%s does not say what it calls", f.name)
			}
			if f.Class != runtime.Pure && len(f.Raises) == 0 {
				t.Errorf("%s does not say what it raises", f.name)
			}
			typ, results := f.Result()
			if typ != "" && f.Returns == "" {
				t.Errorf("%s does not say what it returns", f.name)
			}
			fields(t, f.name, f.Fields())
			fields(t, f.name+" result", results)
		}
	}
}

// sentence checks a doc that stands alone.
func sentence(t *testing.T, name, doc string) {
	t.Helper()
	if doc == "" || !strings.HasSuffix(doc, ".") {
		t.Errorf("%s: the doc is not a sentence: %q", name, doc)
	}
	if strings.Contains(doc, "  ") {
		t.Errorf("%s: two spaces in the doc: %q", name, doc)
	}
}

// fields checks docs that stand in a table.
func fields(t *testing.T, name string, list []runtime.Field) {
	t.Helper()
	for _, f := range list {
		if f.Doc == "" || strings.HasSuffix(f.Doc, ".") && !strings.HasSuffix(f.Doc, "...") || strings.Contains(f.Doc, "\n") {
			t.Errorf("%s: %s: the doc is not one phrase: %q", name, f.Name, f.Doc)
		}
		if !snake.MatchString(f.Name) {
			t.Errorf("%s: %s: the name is not lower_snake", name, f.Name)
		}
		if f.Required && f.Default != "" {
			t.Errorf("%s: %s is required and has a default", name, f.Name)
		}
		fields(t, name+"."+f.Name, f.Fields)
	}
}

// TestEveryExampleCompiles also finds a function that the program does not have:
// the names after a module's are looked up.
func TestEveryExampleCompiles(t *testing.T) {
	mods := append(documented(), spec.Modules()...)
	host := runtime.New(runtime.Options{Modules: mods})
	known := map[string]bool{}
	for _, m := range mods {
		for _, f := range m.Funcs {
			known[m.Name+"."+f.Name] = true
		}
	}
	call := regexp.MustCompile(`(?:^|[^/.\w])(docker|redis|http|json|log|parallel)\.([a-z_]+)`)
	for _, m := range mods {
		for _, f := range functions(m) {
			if _, err := host.LoadString(f.name, f.Example); err != nil {
				t.Errorf("%s: %v\n%s", f.name, err, f.Example)
			}
			for _, c := range call.FindAllStringSubmatch(f.Example, -1) {
				if !known[c[1]+"."+c[2]] {
					t.Errorf("%s: its example calls %s, which is not there", f.name, c[0])
				}
			}
		}
	}
}
