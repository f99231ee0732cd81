package sim_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAModernEngineAnswersWithTheSameStatus runs the corpus on the engine that the
// environment names, by its store, and compares what recipes decide by: whether a call
// succeeds, and with which status. Texts and fields differ from version to version.
// testdata/modern-STORE.txt has the calls whose status differs; -update writes it.
func TestAModernEngineAnswersWithTheSameStatus(t *testing.T) {
	store := os.Getenv("MEPC_TEST_ENGINE_STORE")
	if store == "" {
		t.Skip("make test-modern runs it")
	}
	ours, theirs := simulated(t), real(t)
	var differ strings.Builder
	calls := 0
	for n, c := range corpus {
		if modernSkips[c.name] != "" {
			t.Logf("left out: %s: %s", c.name, modernSkips[c.name])
			continue
		}
		mine, his := *ours, *theirs
		mine.prefix += fmt.Sprintf("%d-", n)
		his.prefix += fmt.Sprintf("%d-", n)
		steps := c.lines()
		got, want := mine.run(t, steps), his.run(t, steps)
		for i, step := range steps {
			calls++
			if g, w := status(got[i]), status(want[i]); g != w && c.differs[step] == "" {
				fmt.Fprintf(&differ, "%s: %s: %s, not %s\n", c.name, step, w, g)
			}
		}
	}
	t.Logf("%d calls, of which %d differ", calls, strings.Count(differ.String(), "\n"))
	file := "testdata/modern-" + store + ".txt"
	if *update {
		if err := os.WriteFile(file, []byte(differ.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	known, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(known), differ.String()); diff != "" {
		t.Errorf("(-known +now)\n%s", diff)
	}
}

// modernSkips are the cases that compare what is so in Debian's engine only.
var modernSkips = map[string]string{
	"builds that fail":     "the engine may close a connection before it has read a body that it refuses",
	"save and load":        "the files of the tar have other names",
	"tars that are broken": "they are made of such a tar",
}

// status is the first word of an answer: of HTTP's, the status.
func status(answer string) string {
	first, _, _ := strings.Cut(answer, " ")
	return first
}
