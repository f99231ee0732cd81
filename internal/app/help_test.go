package app_test

import (
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mepc/mepc-run/internal/app"
)

// run runs mepc-run within the test.
func run(args ...string) (code int, stdout, stderr string) {
	var out, err strings.Builder
	code = app.Main(app.Env{Stdout: &out, Stderr: &err, Getenv: func(string) string { return "" }}, args)
	return code, out.String(), err.String()
}

func TestHelpFitsInEightyColumns(t *testing.T) {
	for _, args := range []string{
		"--help", "help", "router --help", "version --help", "completion --help", "check --help", "doc --help", "init --help", "doctor --help",
		"help exit-codes", "help servers", "reconcile --help", "bluegreen --help", "canary --help", "fleet --help", "migrate --help", "prune --help",
		"rollback --help", "rolling --help", "swarm --help", "talk --help",
	} {
		code, out, err := run(strings.Fields(args)...)
		if code != 0 || err != "" || out == "" {
			t.Errorf("%s: exit code %d, %q on stderr", args, code, err)
		}
		for line := range strings.Lines(out) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
				t.Errorf("%s: %d columns: %s", args, n, line)
			}
		}
	}
}

func TestACommandThatIsMisspeltIsRecognised(t *testing.T) {
	_, help, _ := run("--help")
	_, commands, _ := strings.Cut(help, "\nCommands:\n")
	commands, _, _ = strings.Cut(commands, "\n\n")
	for line := range strings.Lines(commands) {
		words := strings.Fields(line)
		if words[0] == "help" {
			continue // it, and its topics
		}
		code, _, err := run(words[0] + "x")
		if want := `did you mean "` + words[0] + `"?`; code != 10 || !strings.Contains(err, want) {
			t.Errorf("exit code %d and no %s in:\n%s", code, want, err)
		}
	}
}

func TestOutputThatCannotBeWrittenIsAnErrorOfItsOwn(t *testing.T) {
	var err strings.Builder
	code := app.Main(app.Env{Stdout: full{}, Stderr: &err, Getenv: func(string) string { return "" }}, []string{"version"})
	if code == 0 {
		t.Errorf("exit code %d: %s", code, err.String())
	}
}

// full is a file on a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
