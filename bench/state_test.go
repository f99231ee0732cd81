package bench

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
)

// BenchmarkState measures what a state directory with 10,000 journals, of which 100
// were cut off and 10 are of 100 MB, costs a run that begins, and mepc-run runs and
// history.
func BenchmarkState(b *testing.B) {
	mepcRun := compile(b, "cmd/mepc-run")
	r := newRunner(b)
	recipe := filepath.Join(b.TempDir(), "nothing.lua")
	if err := os.WriteFile(recipe, []byte("return 1\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	none, full, surplus := b.TempDir(), b.TempDir(), b.TempDir()
	template := journalOf(b, r, mepcRun, recipe)
	fillState(b, full, template)
	fillState(b, surplus, template)

	var empty, filled, pruning, runs, history used
	start := func(u *used, args ...string) func() {
		return func() { v, _ := r.run(b, mepcRun, args...); u.add(v) }
	}
	for round := 0; b.Loop(); round++ {
		turn(round,
			start(&empty, recipe, "--state", none),
			start(&filled, recipe, "--state", full, "--keep-runs", "20000"),
			start(&pruning, recipe, "--state", surplus),
			start(&runs, "runs", "--state", full),
			start(&history, "history", "nobody", "--state", full),
		)
	}
	figures(b, map[string]float64{
		"start-ms": empty.wall.median(), "more-ms": filled.wall.median() - empty.wall.median(),
		"more-pruning-ms": pruning.wall.median() - empty.wall.median(),
		"more-cpu-ms":     filled.cpu.median() - empty.cpu.median(),
		"runs-cpu-ms":     runs.cpu.median(),
		"runs-ms":         runs.wall.median(), "runs-MB": runs.peak.median(), "history-ms": history.wall.median(),
	})
}

// journalOf returns the journal of a run of recipe.
func journalOf(b *testing.B, r *runner, program, recipe string) []byte {
	b.Helper()
	state := b.TempDir()
	r.run(b, program, recipe, "--state", state)
	files, err := filepath.Glob(filepath.Join(state, "runs", "*.jsonl"))
	if err != nil || len(files) != 1 {
		b.Fatalf("%v, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// fillState writes 10,000 journals like template: each hundredth without its end,
// each thousandth with a hole of 100 MB before it.
func fillState(b *testing.B, state string, template []byte) {
	b.Helper()
	dir := filepath.Join(state, "runs")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		b.Fatal(err)
	}
	old := idIn(b, template)
	now := clock.Wall{}.Now().UTC().Add(-100 * time.Hour)
	for i := range 10_000 {
		id := fmt.Sprintf("%s-%03daaa", now.Add(time.Duration(i)*time.Second).Format("20060102T150405"), i%1000)
		ext := ".jsonl"
		lines := bytes.SplitAfter(bytes.ReplaceAll(template, []byte(old), []byte(id)), []byte("\n"))
		for k, line := range lines {
			lines[k] = summed(line)
		}
		end := lines[len(lines)-2]
		if i%100 == 0 {
			ext, end = ".open", nil
		}
		head := bytes.Join(lines[:len(lines)-2], nil)
		f, err := os.Create(filepath.Join(dir, id+ext))
		if err != nil {
			b.Fatal(err)
		}
		at := int64(len(head))
		if i%1000 == 500 {
			at = 100 << 20
			end = append([]byte("\n"), end...)
		}
		_, err = f.Write(head)
		if err == nil && len(end) > 0 {
			_, err = f.WriteAt(end, at)
		}
		if err != nil || f.Close() != nil {
			b.Fatal(err)
		}
	}
}

// idIn returns the name of the run in a journal.
func idIn(b *testing.B, journal []byte) string {
	b.Helper()
	_, rest, _ := strings.Cut(string(journal), `"id":"`)
	id, _, found := strings.Cut(rest, `"`)
	if !found {
		b.Fatalf("no name in %s", journal)
	}
	return id
}

// summed is a line of a journal with its checksum put right.
func summed(line []byte) []byte {
	const at = len(`{"crc":"`)
	line = bytes.Clone(line)
	if len(line) > at+8 {
		copy(line[at:], fmt.Sprintf("%08x", crc32.Checksum(bytes.TrimSuffix(line[at+8:], []byte("\n")), crc32.MakeTable(crc32.Castagnoli))))
	}
	return line
}
