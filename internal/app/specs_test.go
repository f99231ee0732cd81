package app_test

import (
	"strings"
	"testing"
)

// TestTheShippedSpecsPass runs what mepc-run test runs here. They run every line of the
// shipped recipes and of the library, and every effect happens.
func TestTheShippedSpecsPass(t *testing.T) {
	t.Chdir("../..")
	code, out, err := run("test", "--coverage-min", "100")
	if code != 0 || err != "" || !strings.Contains(out, " passed in ") {
		t.Errorf("exit code %d\n%s%s", code, out, err)
	}
}
