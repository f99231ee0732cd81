package runtime

import (
	"slices"
	"strings"
	"testing"
)

// What is said to be absent is, and each name says what to use instead.
func TestWhatOtherLuasHaveIsTold(t *testing.T) {
	h := New(Options{})
	standard := h.Standard()
	for name, instead := range absent {
		library, member, _ := strings.Cut(name, ".")
		if members, there := standard[library]; there && (member == "" || slices.Contains(members, member)) {
			t.Errorf("%s is there", name)
		}
		if instead == "" {
			t.Errorf("%s: nothing instead", name)
		}
	}
	for src, want := range map[string]string{
		`print(io.open("x"))`: "there is no io here: a recipe has no files",
		`return rawlen({})`:   "there is no rawlen here: #t",
		`return ioo`:          "global 'ioo' is not defined",
	} {
		recipe, err := h.LoadString("recipe.lua", src)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Run(t.Context(), recipe, RunOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", src, err)
		}
	}
}
