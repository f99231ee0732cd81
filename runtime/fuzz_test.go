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

// A secret that stands alone is replaced whole, and text that knows none stays.
func FuzzScrubberLeavesNoSecret(f *testing.F) {
	f.Add("hunter22")
	f.Add("a\"b\\c")
	f.Fuzz(func(t *testing.T, secret string) {
		var s runtime.Scrubber
		if got := s.Clean(secret); got != secret {
			t.Errorf("without a secret %q became %q", secret, got)
		}
		s.Add(secret)
		want := "[secret]"
		if len(secret) < 4 { // too short to be looked for
			want = secret
		}
		if got := s.Clean(secret); got != want {
			t.Errorf("%q became %q, want %q", secret, got, want)
		}
	})
}
