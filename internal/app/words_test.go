package app_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// readFolders are held to plain English in comments, texts and documents.
var readFolders = []string{"cmd", "cli", "runtime", "modules", "servers", "rehearsal", "recipes"}

// stilted matches phrases that readers stumble over, each with the usual way to say it.
var stilted = map[*regexp.Regexp]string{
	regexp.MustCompile(`\bthat mepc-run brings\b`):              "that ships with mepc-run",
	regexp.MustCompile(`\bwhat came of\b`):                      "the result of",
	regexp.MustCompile(`\b[Aa]n URL\b`):                         "a URL",
	regexp.MustCompile(`\bdoings\b`):                            "what it did",
	regexp.MustCompile(`\b[Tt](ake|akes|aking|aken) back what`): "undo",
	regexp.MustCompile(`\b(whoever runs|by whoever)\b`):         "the operator, someone else",
	regexp.MustCompile(`-- (Whether|Where|How many|What) `):     "Reports whether, Returns",
}

// A phrase that was mended does not come back.
func TestTextsArePlainEnglish(t *testing.T) {
	for _, folder := range readFolders {
		err := filepath.WalkDir(filepath.Join("..", "..", folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !slices.Contains([]string{".go", ".lua", ".md"}, filepath.Ext(path)) {
				return err
			}
			text, err := os.ReadFile(path)
			for i, line := range strings.Split(string(text), "\n") {
				for phrase, better := range stilted {
					if found := phrase.FindString(line); found != "" {
						t.Errorf("%s:%d: %q: say %q", path, i+1, found, better)
					}
				}
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
