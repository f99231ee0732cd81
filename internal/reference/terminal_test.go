package reference_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/reference"
	"github.com/mepc/mepc-run/runtime"
)

var plain = reference.Style{Bold: func(s string) string { return s }, Dim: func(s string) string { return s }}

// TestEveryPageFitsATerminal shows all of them. Only examples, and words that
// cannot be broken, may be wider than 80 columns.
func TestEveryPageFitsATerminal(t *testing.T) {
	names := append(reference.Names(documented()), "")
	if len(names) < 300 { // Redis alone has that many commands
		t.Errorf("%d names: %q", len(names), names)
	}
	for _, name := range names {
		page, err := reference.Terminal(documented(), name, plain)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for line := range strings.Lines(page) {
			line = strings.TrimSuffix(line, "\n")
			if utf8.RuneCountInString(line) > 80 && strings.Count(strings.TrimSpace(line), " ") > 1 && !strings.HasPrefix(line, "    ") {
				t.Errorf("%s: %d columns: %s", name, len(line), line)
			}
		}
	}
}

func TestAPageSaysWhatTheTableSays(t *testing.T) {
	for name, wants := range map[string][]string{
		"":              {"docker", "redis", "errors"},
		"docker":        {"docker.create", "docker.engine objects"},
		"std":           {"params", "defer"},
		"docker.create": {"name=string", "image's name or ID (string, required)", "conflict", "Example"},
		"docker:create": nil,
		"engine:start":  {"container"},
		"redis:multi":   {"one transaction", "MULTI, EXEC"},
		"redis:linsert": {"LINSERT key BEFORE|AFTER pivot element", "write"},
		"redis":         {"redis:replace_list"},
		"retry()":       {"attempts", "default"},
		"errors":        {"not_found", "retryable"},
	} {
		page, err := reference.Terminal(documented(), name, plain)
		if (err != nil) != (wants == nil) {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range wants {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %q in\n%s", name, want, page)
			}
		}
	}
	_, err := reference.Terminal(documented(), "docker.craete", plain)
	if failure.KindOf(err) != failure.NotFound || !strings.Contains(err.Error(), `did you mean "docker.create"?`) {
		t.Error(err)
	}
}

// TestStubsHaveEveryFunction also compiles them: they are Lua.
func TestStubsHaveEveryFunction(t *testing.T) {
	host := runtime.New(runtime.Options{Limits: runtime.Limits{SourceBytes: 1 << 20}})
	files := reference.Stubs(documented())
	all := ""
	for name, text := range files {
		if !strings.HasPrefix(text, "---@meta\n") {
			t.Errorf("%s does not begin with ---@meta", name)
		}
		if _, err := host.LoadString(name, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		all += text
	}
	for _, m := range documented() {
		for _, f := range m.Funcs {
			name := strings.Trim(m.Name+"."+f.Name, ".")
			if f.Name != "" && name != "require" && !strings.Contains(all, "\nfunction "+name+"(") {
				t.Errorf("no function %s", name)
			}
		}
	}
	for _, want := range []string{
		"\n---@class docker.create.options\n", "\n---@field image string the image's name or ID\n",
		"\n---@return docker.engine ", "\nfunction redis_object:linsert(...) end\n",
		"\n---@overload fun(", "---@field memory? number|string ", "---@class docker.create.options.healthcheck\n",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in the stubs", want)
		}
	}
}
