package app_test

import (
	"os/exec"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/journal"
)

// A run that waits for a person is not just running: the list says so.
func TestRunsSayWhichWaitForApproval(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := journal.Open(dir, clock.Wall{}).Begin(journal.Header{App: "shop", Recipe: "bluegreen"}, journal.Settings{Clean: func(s string) string { return s }})
	if err != nil {
		t.Fatal(err)
	}
	defer goruntime.KeepAlive(j) // a file that is collected is closed, and its run over
	runs := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("mepc-run", append([]string{"runs", "--state", dir}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	if text := runs(); !strings.Contains(text, "running") {
		t.Errorf("a run that goes on:\n%s", text)
	}
	if err := j.Ask(journal.Question{Number: 1, Text: "Ship it?", Deadline: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if text := runs(); !strings.Contains(text, "asks") || strings.Contains(text, "running") {
		t.Errorf("one that asks:\n%s", text)
	}
	if text := runs("--json"); !strings.Contains(text, `"asks":["Ship it?"]`) {
		t.Errorf("one that asks, as JSON:\n%s", text)
	}
	if err := j.Answer(journal.Question{Number: 1, Approved: true}); err != nil {
		t.Fatal(err)
	}
	if text := runs(); !strings.Contains(text, "running") {
		t.Errorf("one that was answered:\n%s", text)
	}
}
