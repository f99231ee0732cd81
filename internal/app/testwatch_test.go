package app

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAChangeConcernsTheSpecsThatReadTheFile(t *testing.T) {
	files := []string{"spec/a_spec.lua", "spec/b_spec.lua", "spec/new_spec.lua"}
	uses := map[string][]string{
		"spec/a_spec.lua": {"recipes/a.lua", "recipes/lib/x.lua", "spec/a_spec.lua"},
		"spec/b_spec.lua": {"recipes/b.lua", "recipes/lib/x.lua", "spec/b_spec.lua", "spec/golden/b.plan"},
	}
	for name, tc := range map[string]struct{ changed, want []string }{
		"a recipe":       {[]string{"recipes/a.lua"}, []string{"spec/a_spec.lua", "spec/new_spec.lua"}},
		"a library":      {[]string{"recipes/lib/x.lua"}, files},
		"a spec":         {[]string{"spec/b_spec.lua"}, []string{"spec/b_spec.lua", "spec/new_spec.lua"}},
		"a golden plan":  {[]string{"spec/golden/b.plan"}, []string{"spec/b_spec.lua", "spec/new_spec.lua"}},
		"nobody's":       {[]string{"recipes/c.lua"}, []string{"spec/new_spec.lua"}},
		"a Dockerfile":   {[]string{"app/Dockerfile.test"}, files},
		"our own output": {[]string{"out.txt", "results.xml"}, []string{"spec/new_spec.lua"}},
	} {
		if d := cmp.Diff(tc.want, concerned(files, uses, tc.changed)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
