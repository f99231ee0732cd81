package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

func hide(s string) string { return strings.ReplaceAll(s, "hunter2", "[secret]") }

func begin(t testing.TB, d *Dir, id string) *Journal {
	t.Helper()
	j, err := d.Begin(Header{ID: id, App: "app", Recipe: "bluegreen"}, Settings{Clean: hide})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// play passes calls through a gate that the journal guards and hears.
func play(t testing.TB, j *Journal) {
	t.Helper()
	g := effect.NewGate(clock.Wall{}, []effect.Guard{j}, j)
	j.Loaded("bluegreen.lua", []byte("-- <a> & b\nreturn 1\n"))
	g.Emit(effect.Event{Type: effect.StepStart, Step: &effect.Step{Name: "start", Path: []string{"start"}}})
	g.Emit(effect.Event{Type: effect.Deferred, Undo: &effect.Compensation{Number: 1, Name: "take it down"}})
	g.Emit(effect.Event{Type: effect.LogLine, Log: &effect.Log{Level: "info", Text: "the password is hunter2"}})
	do := func(name string, class effect.Class, err error) {
		_ = g.Do(t.Context(), &effect.Op{Scope: []string{"start"}, Name: name, Class: class, Target: "app-1", Args: []effect.Arg{{Name: "env", Value: "P=hunter2"}}},
			func(context.Context) error { return err })
	}
	do("docker.find", effect.Read, nil)
	do("docker.create", effect.Write, nil)
	do("docker.start", effect.Write, failure.New(failure.Unknown, "cut, hunter2"))
	if err := j.Keep("migrate", map[string]any{"version": 7.0}); err != nil {
		t.Fatal(err)
	}
}

func stateDir(t testing.TB) *Dir { return Open(filepath.Join(t.TempDir(), "state"), clock.Wall{}) }

func find(t *testing.T, d *Dir, name string) *Run {
	t.Helper()
	run, err := d.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func TestWhatARunDidCanBeReadWhileItGoesOnAndAfter(t *testing.T) {
	d := stateDir(t)
	j := begin(t, d, "")
	play(t, j)
	run := find(t, d, "latest")
	if got := run.Status(); got != "running" {
		t.Errorf("status %q", got)
	}
	var outcomes []effect.Outcome
	for _, c := range run.Calls() {
		outcomes = append(outcomes, c.Result.Outcome)
	}
	if diff := cmp.Diff([]effect.Outcome{effect.OK, effect.Unknown}, outcomes); diff != "" {
		t.Error(diff)
	}
	if v, ok := j.Recall("migrate"); !ok || !cmp.Equal(v, map[string]any{"version": 7.0}) {
		t.Errorf("recalled %v, %v", v, ok)
	}
	if files, err := d.Sources(run); err != nil || files["bluegreen.lua"] != "-- <a> & b\nreturn 1\n" {
		t.Errorf("sources %v, %v", files, err)
	}
	if got := run.Step; !slices.Equal(got, []string{"start"}) {
		t.Errorf("in step %v", got)
	}
	if err := j.End("failed", 2, time.Second, failure.New(failure.Timeout, "hunter2 took too long")); err != nil {
		t.Fatal(err)
	}
	run = find(t, d, run.ID[len(run.ID)-4:])
	if run.Status() != "failed" || run.Ended.Error.Message != "[secret] took too long" || run.Effects != 2 {
		t.Errorf("%s, %+v", run.Status(), run.Ended)
	}
	data, err := os.ReadFile(filepath.Join(d.Path(), "runs", run.ID+".jsonl"))
	if err != nil || bytes.Contains(data, []byte("hunter2")) {
		t.Errorf("%v, or a secret in:\n%s", err, data)
	}
	for line := range bytes.Lines(data) {
		if !json.Valid(line) {
			t.Errorf("no JSON: %s", line)
		}
	}
}

func TestAJournalCutAtAnyByteLosesNoWholeLine(t *testing.T) {
	d := stateDir(t)
	j := begin(t, d, "run")
	play(t, j)
	data, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(data) + 1 {
		run, err := Read(bytes.NewReader(data[:n]))
		whole := bytes.Count(data[:n], []byte("\n"))
		if whole == 0 {
			if err == nil {
				t.Fatalf("cut at %d: no whole header, and no error", n)
			}
			continue
		}
		if err != nil || len(run.Records) != whole || run.Damaged != 0 {
			t.Fatalf("cut at %d: %v, %d records of %d, %d damaged", n, err, len(run.Records), whole, run.Damaged)
		}
		if torn := n - 1 - bytes.LastIndexByte(data[:n], '\n'); run.Torn != torn {
			t.Fatalf("cut at %d: %d torn bytes, want %d", n, run.Torn, torn)
		}
	}
}

func TestADamagedByteCostsItsLineAlone(t *testing.T) {
	d := stateDir(t)
	j := begin(t, d, "run")
	play(t, j)
	data, _ := os.ReadFile(j.path)
	lines := bytes.Count(data, []byte("\n"))
	first := bytes.IndexByte(data, '\n') + 1
	last := bytes.LastIndexByte(data[:len(data)-1], '\n') + 1
	for at := first; at < last; at++ {
		if data[at] == '\n' {
			continue
		}
		bad := slices.Clone(data)
		bad[at] ^= 1
		run, err := Read(bytes.NewReader(bad))
		if err != nil || len(run.Records) < lines-2 || len(run.Records) >= lines || run.Damaged == 0 {
			t.Fatalf("byte %d: %v, %d records of %d, %d damaged", at, err, len(run.Records), lines, run.Damaged)
		}
	}
}

// breaking is a file on a disk that fills up.
type breaking struct{ room int }

func (b *breaking) Write(p []byte) (int, error) {
	if len(p) > b.room {
		return 0, &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	}
	b.room -= len(p)
	return len(p), nil
}
func (b *breaking) Sync() error  { return nil }
func (b *breaking) Close() error { return nil }

func TestAFullDiskStopsTheRunBeforeItsNextEffect(t *testing.T) {
	j := begin(t, stateDir(t), "run")
	j.file = &breaking{room: 600}
	g := effect.NewGate(clock.Wall{}, []effect.Guard{j}, j)
	sent := 0
	var err error
	for i := 0; i < 10 && err == nil; i++ {
		err = g.Do(t.Context(), &effect.Op{Name: "docker.start", Class: effect.Write}, func(context.Context) error { sent++; return nil })
	}
	if failure.KindOf(err) != failure.Journal || sent == 0 || sent == 10 {
		t.Errorf("%d calls, then %v", sent, err)
	}
	if err := g.Do(t.Context(), &effect.Op{Name: "docker.find", Class: effect.Read}, func(context.Context) error { return nil }); err != nil {
		t.Errorf("a call that only looks: %v", err)
	}
	undone := false
	if err := g.Do(effect.Undo(t.Context()), &effect.Op{Name: "docker.remove", Class: effect.Destructive}, func(context.Context) error { undone = true; return nil }); err != nil || !undone {
		t.Errorf("what takes back: %v", err)
	}
	if err := j.End("failed", 1, 0, nil); failure.KindOf(err) != failure.Journal {
		t.Errorf("end: %v", err)
	}
}

func TestARunThatWasCutOffIsFoundUntilSomeoneDealsWithIt(t *testing.T) {
	d := stateDir(t)
	j := begin(t, d, "20260101T000000-aaaa")
	play(t, j)
	if runs, _ := d.CutOff(); len(runs) != 0 {
		t.Fatal("a run that goes on is said to be cut off")
	}
	if d.Dead(j.id) {
		t.Error("it is said to be dead")
	}
	f, _ := os.OpenFile(j.path, os.O_APPEND|os.O_WRONLY, 0)
	_, _ = f.WriteString(`{"crc":"0000`) // torn
	f.Close()
	j.file.Close() // as the end of the process does
	runs, err := d.CutOff()
	if err != nil || len(runs) != 1 || runs[0].Status() != "cut off" || runs[0].Effects != 2 || !slices.Equal(runs[0].Step, []string{"start"}) {
		t.Fatalf("%v, %v", runs, err)
	}
	if !d.Dead(j.id) {
		t.Error("it is not said to be dead")
	}
	if left, err := d.Tidy(0, 1e6*time.Hour); err != nil || len(left) != 1 {
		t.Fatal(left, err)
	}
	if err := d.Settle(j.id, By{"20260102T000000-bbbb", "resumed"}, true); err != nil {
		t.Fatal(err)
	}
	if runs, _ := d.CutOff(); len(runs) != 0 {
		t.Error("it is still said to be cut off")
	}
	if run := find(t, d, "2026"); run.Status() != "resumed" || run.Torn != 0 || run.Damaged != 0 {
		t.Errorf("%s, %d torn, %d damaged", run.Status(), run.Torn, run.Damaged)
	}
	if err := d.Settle(j.id, By{"x", "aborted"}, true); err != nil {
		t.Error(err)
	}
}

func TestOldRunsArePruned(t *testing.T) {
	d := stateDir(t)
	for _, id := range []string{"20200101T000000-aaaa", "20990101T000000-aaaa", "20990102T000000-aaaa", "20990103T000000-aaaa"} {
		if err := begin(t, d, id).End("ok", 0, 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	left := func() int {
		ids, err := d.IDs()
		if err != nil {
			t.Fatal(err)
		}
		return len(ids)
	}
	if _, err := d.Tidy(10, 24*time.Hour); err != nil || left() != 3 {
		t.Errorf("%v, %d left by age", err, left())
	}
	if _, err := d.Tidy(2, 24*time.Hour); err != nil || left() != 2 {
		t.Errorf("%v, %d left by count", err, left())
	}
	if _, err := d.Find("2099010"); failure.KindOf(err) != failure.Usage {
		t.Errorf("two that it may mean: %v", err)
	}
	if _, err := d.Find("../x"); failure.KindOf(err) != failure.NotFound {
		t.Errorf("none that it may mean: %v", err)
	}
}

func TestADirectoryThatCannotBeWrittenIsSaid(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(filepath.Join(file, "state"), clock.Wall{}).Begin(Header{}, Settings{Clean: hide})
	if e := failure.As(err); e == nil || e.Kind != failure.Journal || errors.Unwrap(e) == nil || !strings.Contains(e.Hint, "--state") {
		t.Errorf("%v", err)
	}
}

func FuzzRead(f *testing.F) {
	d := stateDir(f)
	j := begin(f, d, "run")
	play(f, j)
	data, err := os.ReadFile(j.path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		run, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		_, _, _, _ = run.Calls(), run.Memos(), run.Summary(), run.Token("app")
		if run.whole > int64(len(data)) || run.whole+int64(run.Torn) > int64(len(data)) {
			t.Errorf("%d whole and %d torn bytes of %d", run.whole, run.Torn, len(data))
		}
	})
}

// What a call costs that is journaled, with its intent on disk.
func BenchmarkEffect(b *testing.B) {
	j := begin(b, stateDir(b), "run")
	g := effect.NewGate(clock.Wall{}, []effect.Guard{j}, j)
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		_ = g.Do(b.Context(), &effect.Op{Name: "docker.start", Class: effect.Write, Target: "app-1.1-4b864a9d", Where: "bluegreen.lua:88"},
			func(context.Context) error { return nil })
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
