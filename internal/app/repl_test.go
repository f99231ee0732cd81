package app

import (
	"bytes"
	"strings"
	"testing"
)

func TestTheTabKeyCompletesWhatRecipesCanCall(t *testing.T) {
	for line, want := range map[string]string{
		"dock":               "docker",
		"x = docker.insp":    "x = docker.inspect",
		"docker.network_c":   "docker.network_c", // connect, create
		"string.re":          "string.re",        // rep, reverse
		"r:subsc":            "r:subscribe",
		"print(docker.creat": "print(docker.create",
		"nothing_of_it":      "",
	} {
		var out bytes.Buffer
		c := &completion{
			names:   []string{"docker", "docker.inspect", "docker.create", "docker.network_connect", "docker.network_create", "string.rep", "string.reverse"},
			methods: []string{"subscribe", "set"}, out: &out,
		}
		got, pos, ok := c.complete(line, len(line), '\t')
		if got != want || ok && pos != len(want) {
			t.Errorf("%q: %q, %d", line, got, pos)
		}
		if listed := strings.Contains(out.String(), "  "); listed != (got == line) {
			t.Errorf("%q lists %q", line, out.String())
		}
	}
	if _, _, ok := (&completion{}).complete("a", 1, 'b'); ok {
		t.Error("other keys are the editor's")
	}
}
