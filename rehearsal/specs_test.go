package rehearsal_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mepc/mepc-run/rehearsal"
)

const recipe = `local p = params{to = {required = true}}
redis.connect():set("mepc:to", p.to)
http.post("http://hook.example/", {body = p.to})`

const specs = `
local w = {outside = {["http://hook.example/*"] = {status = 200}}}
it("passes", function() assert.is_nil(world(w):run("r.lua", {to = "x"}).error) end)
it("fails", function() assert.are.equal(1, 2) end)
pending("is not written yet")
scenario("a run", {recipe = "r.lua", params = {to = "x"}, world = w, repeats = true})
`

func TestSpecsAndFaultsForModulesOfOthers(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"r.lua": recipe, "spec/r_spec.lua": specs} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &rehearsal.Specs{Dir: dir, Modules: modules}
	results, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, r := range results {
		if r.Err != nil {
			failed = append(failed, r.Name)
		}
	}
	if len(results) != 4 || strings.Join(failed, ",") != "fails" {
		t.Errorf("%+v", results)
	}
	s.Faults = 1
	results, err = s.Run(t.Context())
	if err != nil || len(results) != 1 || results[0].Err != nil || results[0].Plans < 10 || !strings.Contains(results[0].Report, "2 of 2 effects had every fault") {
		t.Errorf("%+v: %v", results, err)
	}
	s.Files = []string{"spec/none_spec.lua"}
	if _, err := s.Run(t.Context()); err == nil {
		t.Error("a file that is not there is run")
	}
}
