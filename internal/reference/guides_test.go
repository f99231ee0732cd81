package reference_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/reference"
	"github.com/mepc/mepc-run/recipes"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// guides are the pages that people write.
func guides(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(docs, "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no guides in %s: %v", docs, err)
	}
	return append(pages, "../../README.md")
}

// blocks returns the code of a language on a page.
func blocks(t *testing.T, page, language string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	return all
}

func TestLuaInGuidesCompiles(t *testing.T) {
	host := runtime.New(runtime.Options{Modules: documented(), Library: recipes.FS})
	for _, page := range guides(t) {
		for _, src := range blocks(t, page, "lua") {
			recipe, err := host.LoadString(filepath.Base(page), src)
			if err == nil {
				// Where it declares parameters the declarations must be right, too.
				_, err = host.Describe(t.Context(), recipe, servers.Live(servers.Options{}))
			}
			if err != nil {
				t.Errorf("%s: %v\n%s", page, err, src)
			}
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinksLeadSomewhere follows every relative link, to the heading.
func TestLinksLeadSomewhere(t *testing.T) {
	pages := guides(t)
	for _, dir := range []string{"reference"} {
		more, err := filepath.Glob(filepath.Join(docs, dir, "*.md"))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, more...)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, heading, _ := strings.Cut(m[1], "#")
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			there, err := os.ReadFile(target)
			if err != nil {
				if info, dirErr := os.Stat(target); dirErr != nil || !info.IsDir() {
					t.Errorf("%s: the link %s leads nowhere: %v", page, m[1], err)
				}
				continue
			}
			if heading != "" && !hasHeading(string(there), heading) {
				t.Errorf("%s: the link %s: there is no such heading", page, m[1])
			}
		}
	}
}

func hasHeading(text, anchor string) bool {
	for line := range strings.Lines(text) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(strings.TrimSpace(line), "#"), " "); ok &&
			strings.HasPrefix(line, "#") && reference.Anchor(title) == anchor {
			return true
		}
	}
	return false
}
