package watch

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// One change is what happens until it is quiet; what is of no interest does not
// count, and a directory that is no longer wanted is not watched.
func TestASetTellsOfWhatItIsToldToWatch(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	s, err := NewSet()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	write := func(name string) string {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	next := func() []string {
		t.Helper()
		changed, err := s.Next(t.Context(), 20*time.Millisecond, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	if err := s.Watch(map[string]Names{dir: {Suffix: ".lua"}, other: {Each: map[string]bool{"link": true}}}); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(dir, "notes.txt"))
	write(filepath.Join(other, "else"))
	want := []string{write(filepath.Join(dir, "a.lua")), write(filepath.Join(dir, "b.lua")), write(filepath.Join(other, "link"))}
	slices.Sort(want)
	if got := next(); !slices.Equal(got, want) {
		t.Errorf("%q has changed, want %q", got, want)
	}
	if err := s.Watch(map[string]Names{dir: {Suffix: ".lua"}, filepath.Join(dir, "gone"): {}}); err != nil || s.Dirs() != 1 {
		t.Errorf("%d directories are watched, %v", s.Dirs(), err)
	}
	write(filepath.Join(other, "link"))
	if !s.Quiet() {
		t.Error("a directory that is not wanted any more is watched")
	}
	want = []string{write(filepath.Join(dir, "a.lua"))}
	if got := next(); !slices.Equal(got, want) {
		t.Errorf("%q has changed, want %q", got, want)
	}
	if got, err := s.Next(t.Context(), time.Millisecond, time.Millisecond); err != nil || len(got) > 0 {
		t.Errorf("nothing has changed: %q, %v", got, err)
	}
}
