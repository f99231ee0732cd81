package runtime_test

import (
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// Whatever is written on a command line is taken or refused as invalid, before
// anything is called.
func FuzzParametersFromText(f *testing.F) {
	for _, seed := range []string{"80", "-1", "1e400", "2s", "1h1ns", "512MiB", "yes", "a,b,,c", "soft", "\x00\xff", "9007199254740993"} {
		f.Add(seed)
	}
	const src = `
params{
  port = {type="integer", min=1}, share = {type="number"}, drain = {type="duration"}, memory = {type="size"},
  fast = {type="boolean"}, mode = {type="enum", values={"soft", "hard"}}, links = {type="list"}, name = {}, key = {type="secret"},
}`
	host := runtime.New(runtime.Options{Modules: stdModules()})
	recipe, err := host.LoadString("r.lua", src)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range []string{"port", "share", "drain", "memory", "fast", "mode", "links", "name", "key"} {
			_, err := host.Run(t.Context(), recipe, runtime.RunOptions{Params: map[string]any{name: text}})
			if err != nil && (failure.KindOf(err) != failure.Invalid || !strings.Contains(err.Error(), name)) {
				t.Errorf("%s=%q: %v", name, text, err)
			}
		}
	})
}

// A secret is found in each form, wherever it stands, and nothing else is
// touched.
func FuzzScrubberLeavesNoSecret(f *testing.F) {
	f.Add("hunter22", "the password is ", " indeed")
	f.Add("a\"b\\c", "{\"k\":\"", "\"}")
	f.Fuzz(func(t *testing.T, secret, before, after string) {
		if len(secret) < 4 || strings.Contains("[secret]", secret) {
			t.Skip()
		}
		var s runtime.Scrubber
		s.Add(secret)
		if got := s.Clean(before + secret + after); strings.Contains(strings.ReplaceAll(got, "[secret]", ""), secret) &&
			!strings.Contains(before+after, secret[:1]) {
			t.Errorf("%q is seen in %q", secret, got)
		}
	})
}
