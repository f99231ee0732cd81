package lab

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// A thread that ended would take along what others had forked on it.
func TestAServersEndEndsNoThread(t *testing.T) {
	for range 20 {
		p, err := start(t.TempDir(), "sleep", nil, syscall.SIGKILL, os.Environ(), "sleep", "60")
		if err != nil {
			t.Fatal(err)
		}
		before := threads(t)
		if err := p.signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-p.exited
		after := threads(t)
		for _, id := range before {
			if !slices.Contains(after, id) {
				t.Fatalf("thread %s has ended with the server", id)
			}
		}
	}
}

func threads(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
