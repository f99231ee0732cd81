package reload_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// grown opens a directory of n recipes, each of which requires one of ten files.
func grown(t testing.TB, n int) *garden {
	t.Helper()
	files := map[string]string{}
	for i := range 10 {
		files[fmt.Sprintf("lib/l%d.lua", i)] = "return {v = 0}"
	}
	for i := range n {
		files[fmt.Sprintf("r%d.lua", i)] = fmt.Sprintf("params{v0 = {}} local l = require(\"lib.l%d\") log(l.v)", i%10)
	}
	return open(t, t.TempDir(), files)
}

// BenchmarkSaveToActive is from the save of a recipe to the moment that its new
// version is in force, what is waited for further changes included.
func BenchmarkSaveToActive(b *testing.B) {
	for _, n := range []int{1, 1000, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			g := grown(b, n)
			g.watch()
			g.when("r0", has("v0"))
			before := g.tree.Compiled()
			var took []time.Duration
			for i := 1; b.Loop(); i++ {
				start := time.Now()
				g.write("r0.lua", fmt.Sprintf("params{v%d = {}}", i))
				g.when("r0", has(fmt.Sprintf("v%d", i)))
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
			b.ReportMetric(float64(g.tree.Compiled()-before)/float64(len(took)), "compiled/op")
		})
	}
}

// Reloads under constant use: nobody sees a recipe with another moment's library, and
// nothing grows. RELOADS is how many; 50 without.
func TestManyReloadsUnderUse(t *testing.T) {
	reloads := 50
	if n, err := strconv.Atoi(os.Getenv("RELOADS")); err == nil {
		reloads = n
	}
	pair := func(v int) (string, string) {
		return fmt.Sprintf("params{v%d = {}} require(\"lib.v\")", v), fmt.Sprintf("return %d", v)
	}
	dir := t.TempDir()
	recipe, library := pair(0)
	open(t, dir, map[string]string{"now/a.lua": recipe, "now/lib/v.lua": library}) // writes the files
	// Both files change at one moment: a link is put in another's place.
	swap := func(v int) {
		at := filepath.Join(dir, fmt.Sprintf("v%d", v))
		recipe, library := pair(v)
		for name, text := range map[string]string{"a.lua": recipe, "lib/v.lua": library} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(at, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(at, filepath.Join(dir, "new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "current")); err != nil {
			t.Fatal(err)
		}
		if v > 1 {
			_ = os.RemoveAll(filepath.Join(dir, fmt.Sprintf("v%d", v-2)))
		}
	}
	swap(0)
	g := open(t, filepath.Join(dir, "current"), nil)
	g.watch()
	g.when("a", has("v0"))
	over := make(chan struct{})
	var users sync.WaitGroup
	for range 2 {
		users.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				r := g.tree.Recipe("a")
				if v := r.Version.Params[0].Name[1:]; r.Version.Files["lib/v.lua"] != "return "+v {
					t.Errorf("a mixed version: %q", r.Version.Files)
				}
				runtime.Gosched()
			}
		})
	}
	measure := func() (heap uint64, goroutines int) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, runtime.NumGoroutine()
	}
	var heap uint64
	var goroutines int
	for v := 1; v <= reloads; v++ {
		swap(v)
		g.when("a", has(fmt.Sprintf("v%d", v)))
		if v == reloads/2 {
			heap, goroutines = measure()
		}
	}
	later, now := measure()
	close(over)
	users.Wait()
	if now > goroutines {
		t.Errorf("there were %d goroutines, and are %d", goroutines, now)
	}
	if grown := int64(later) - int64(heap); reloads >= 1000 && grown > int64(heap)/2 {
		t.Errorf("the heap grew from %d to %d bytes", heap, later)
	}
	t.Logf("%d reloads: heap %d KB half way, %d KB at the end; %d goroutines; %s", reloads, heap>>10, later>>10, now, strings.Join(g.said()[:min(2, len(g.said()))], "; "))
}
