package state_test

import (
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/state"
)

func TestBadWorldFilesSayWhere(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "line 1: the world file ends too early"},
		{"no object", "[]", "line 1: the world file is not an object"},
		{"not a world file", "{}", `line 1: this is not a world file: it needs "mepc_world": 1`},
		{"of the future", `{"mepc_world": 9}`, "line 1: the world file has the format 9; this program knows 1"},
		{"cut off", "{\"mepc_world\": 1,\n\"engines\": [", "line 2: the world file ends too early"},
		{"no JSON", "{\"mepc_world\": 1,\n\n x}", "line 3: invalid character 'x'"},
		{"an unknown key", "{\"mepc_world\": 1,\n\"engines\": [{\n\"imges\": []}]}", `line 3: engines, entry 1: unknown key "imges" (did you mean "images"?)`},
		{"an unknown key of a fixture", "{\"mepc_world\": 1,\"engines\": [{\"images\": [{\"ref\":\"a\",\n\"behaviour\": {\"start_dealy\":\"2s\"}}]}]}", `line 2: behaviour: unknown key "start_dealy" (did you mean "start_delay"?)`},
		{"a key like no other", "{\"mepc_world\": 1,\n\"zzzzzzzz\": 1}", `line 2: the world file: unknown key "zzzzzzzz" (known are approvals, engines, mepc_world`},
		{"a key twice", "{\"mepc_world\": 1,\n\"source\": \"a\",\n\"source\": \"b\"}", `line 3: the world file: "source" is given twice`},
		{"a wrong type", "{\"mepc_world\": 1,\n\"engines\": {}}", "line 2: engines is not a list"},
		{"a wrong scalar", "{\"mepc_world\": 1,\n\"source\": 5}", "line 2: source is not a string"},
		{"a wrong entry", "{\"mepc_world\": 1,\"engines\": [{\"images\":[{\"ref\":\"a\",\n\"cmd\": [\"x\",\n5]}]}]}", "line 3: cmd, entry 2 is not a string"},
		{"a bad duration", "{\"mepc_world\": 1,\"engines\": [{\"images\":[{\"ref\":\"a\",\"behaviour\":{\n\"start_delay\": \"2 apples\"}}]}]}", `line 2: start_delay: "2 apples" is not a duration such as "2s" or "1m30s"`},
		{"more behind the end", "{\"mepc_world\": 1}\n{}", "line 2: there is data after the end"},
		{"nesting", strings.Repeat(`{"redis":{"a":`, 100), "line 1: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := state.Decode([]byte(c.file))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v\n  want %s", err, c.want)
			}
		})
	}
}
