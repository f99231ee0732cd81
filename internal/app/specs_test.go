package app_test

import (
	"strings"
	"testing"
)

// TestTheShippedSpecsPass runs what mepc-run test runs here.
func TestTheShippedSpecsPass(t *testing.T) {
	t.Chdir("../..")
	code, out, err := run("test")
	if code != 0 || err != "" || !strings.Contains(out, " passed in ") {
		t.Errorf("exit code %d\n%s%s", code, out, err)
	}
}
