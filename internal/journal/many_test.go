package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// many fills d with n journals, of which each hundredth was cut off and each thousandth
// is of 100 MB: links to three files.
func many(t testing.TB, d *Dir, n int) {
	t.Helper()
	for _, id := range []string{"ended", "cutoff", "large"} {
		j := begin(t, d, id)
		play(t, j)
		if id == "large" {
			if err := os.Truncate(j.path, 100<<20); err != nil {
				t.Fatal(err)
			}
			_, _ = j.file.Write([]byte("\n"))
		}
		if id != "cutoff" {
			if err := j.End("ok", 2, time.Second, nil); err != nil {
				t.Fatal(err)
			}
		}
		j.file.Close()
	}
	now := time.Now().UTC().Add(-100 * time.Hour)
	for i := range n {
		from, ext := "ended"+endedExt, endedExt
		switch {
		case i%100 == 0:
			from, ext = "cutoff"+openExt, openExt
		case i%1000 == 501:
			from = "large" + endedExt
		}
		id := now.Add(time.Duration(i)*time.Second).Format(idTime) + fmt.Sprintf("-%03daaa", i%1000)
		if err := os.Link(filepath.Join(d.runs(), from), filepath.Join(d.runs(), id+ext)); err != nil {
			t.Fatal(err)
		}
	}
}

// reading returns how many bytes this process reads in f, in how many calls.
func reading(t *testing.T, f func()) (bytes, calls int) {
	t.Helper()
	read := func() (bytes, calls int) {
		data, err := os.ReadFile("/proc/self/io")
		if err != nil {
			t.Skip(err)
		}
		if _, err := fmt.Sscanf(strings.ReplaceAll(string(data), "\n", " "), "rchar: %d wchar: %d syscr: %d", &bytes, new(int), &calls); err != nil {
			t.Fatal(err)
		}
		return bytes, calls
	}
	bytes0, calls0 := read()
	f()
	bytes1, calls1 := read()
	return bytes1 - bytes0, calls1 - calls0
}

// BENCHMARKS.md has what this takes: time depends on the machine, what is read does not.
func TestAMultitudeOfJournalsIsHardlyRead(t *testing.T) {
	d := stateDir(t)
	many(t, d, 10_000)
	bytes, calls := reading(t, func() {
		if left, err := d.Tidy(20_000, 1000*time.Hour); err != nil || len(left) != 101 {
			t.Errorf("%d cut off, %v", len(left), err)
		}
	})
	if bytes > 1<<20 || calls > 300 {
		t.Errorf("a run that begins reads %d bytes in %d calls", bytes, calls)
	}
	n := 0
	bytes, calls = reading(t, func() {
		if err := d.Each(func(*Head) error { n++; return nil }); err != nil || n != 10_003 {
			t.Errorf("%d runs, %v", n, err)
		}
	})
	if bytes > 40<<20 || calls > 25_000 {
		t.Errorf("a list of runs reads %d bytes in %d calls", bytes, calls)
	}
}

func BenchmarkEach(b *testing.B) {
	d := stateDir(b)
	many(b, d, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Each(func(*Head) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
