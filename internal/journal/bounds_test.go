package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// large is a text of n bytes with a secret at its end.
func large(n int) string { return strings.Repeat("é", n/2) + "hunter2" }

func TestALineIsBoundedWhateverARunSays(t *testing.T) {
	d := stateDir(t)
	j := begin(t, d, "run")
	path := slices.Repeat([]string{large(1 << 16)}, 50)
	args := slices.Repeat([]effect.Arg{{Name: large(1 << 16), Value: large(1 << 16)}}, 100)
	bad := failure.New(failure.Script, "%s", large(1<<20)).WithHint("%s", large(1<<16))
	bad.Details, bad.State = large(1<<16), large(1<<16)
	op := &effect.Op{Seq: 1, Name: "docker.start", Class: effect.Write, Target: large(1 << 16), Scope: path, Args: args}
	if err := j.Allow(t.Context(), op); err != nil {
		t.Fatal(err)
	}
	for _, ev := range []effect.Event{
		{Type: effect.OpEnd, Op: op, Result: &effect.Result{Outcome: effect.OK, Summary: large(1 << 16), Err: bad}},
		{Type: effect.OpEnd, Op: &effect.Op{Seq: 2, Name: "docker.find", Target: large(1 << 16), Args: args}, Result: &effect.Result{Err: errors.New(large(1 << 16))}},
		{Type: effect.StepStart, Step: &effect.Step{Path: path, Where: large(1 << 16)}},
		{Type: effect.StepEnd, Step: &effect.Step{Path: path, Err: bad}},
		{Type: effect.LogLine, Log: &effect.Log{Level: "info", Text: large(1 << 20), Fields: args, Path: path}},
		{Type: effect.Deferred, Undo: &effect.Compensation{Number: 1, Name: large(1 << 16)}},
		{Type: effect.Undone, Undo: &effect.Compensation{Number: 1, Name: large(1 << 16), Said: large(1 << 16), Err: bad}},
	} {
		j.Event(ev)
	}
	if err := j.End("failed", 1, 0, bad); err != nil {
		t.Fatal(err)
	}
	run := find(t, d, "run")
	data, err := os.ReadFile(filepath.Join(d.runs(), "run"+endedExt))
	if err != nil || strings.Contains(string(data), "hunter2") {
		t.Errorf("%v, or a secret is in it", err)
	}
	for line := range strings.Lines(string(data)) {
		if len(line) > 3*recordMost {
			t.Errorf("a line of %d bytes: %.200s", len(line), line)
		}
	}
	if e := run.Ended.Error; !strings.HasSuffix(e.Message, "bytes more)") || len(e.Message) > textMost+50 {
		t.Errorf("the message is not said to be cut: %.60s, %d", e.Message, len(e.Message))
	}
}

func TestALargeJournalKeepsEffectsAloneAndThenTakesNoMore(t *testing.T) {
	d := stateDir(t)
	j := begin(t, d, "run")
	log := effect.Event{Type: effect.LogLine, Log: &effect.Log{Level: "info", Text: strings.Repeat("x", textMost)}}
	for range 3 * softMost / textMost {
		j.Event(log)
	}
	if j.size > softMost+textMost {
		t.Errorf("%d bytes of log lines", j.size)
	}
	op := func(seq int) *effect.Op {
		return &effect.Op{Seq: seq, Name: "redis.set", Class: effect.Write, Args: []effect.Arg{{Name: "value", Value: strings.Repeat("x", textMost)}}}
	}
	j.file = &breaking{room: 1 << 40} // a disk is too slow for this many
	n := 0
	var err error
	for ; err == nil && n < 10_000; n++ {
		err = j.Allow(t.Context(), op(n))
	}
	if failure.KindOf(err) != failure.Journal || j.size > hardMost || !strings.Contains(err.Error(), "is full") {
		t.Errorf("after %d effects and %d bytes: %v", n, j.size, err)
	}
	if err := j.Allow(effect.Undo(t.Context()), op(n)); err != nil || !j.intent[n] {
		t.Errorf("what undoes: %v, noted %v", err, j.intent[n])
	}
	for range 2000 {
		if err := j.Allow(effect.Undo(t.Context()), op(n)); err != nil {
			t.Fatal(err)
		}
	}
	if j.size > finalMost {
		t.Errorf("%d bytes", j.size)
	}
	if err := j.write(&Record{Type: RunEnds, End: &End{}}, true); err != nil {
		t.Errorf("its end: %v", err)
	}
	if run := find(t, d, "run"); !run.Cut {
		t.Error("it is not said that lines were left out")
	}
}

func TestHowThingsWereIsNotedWholeOrNothingIsDone(t *testing.T) {
	j := begin(t, stateDir(t), "run")
	j.Was(Was{Seq: 1, List: "www", Items: slices.Repeat([]string{strings.Repeat("x", 1000)}, exactMost/1000+1)})
	op := &effect.Op{Seq: 1, Name: "redis.del", Class: effect.Destructive}
	if err := j.Allow(t.Context(), op); failure.KindOf(err) != failure.Invalid {
		t.Errorf("%v", err)
	}
	if err := j.Allow(t.Context(), op); err != nil { // the next call of that number is another
		t.Errorf("%v", err)
	}
}

func TestALookThatIsAnsweredAsBeforeHasNoLineOfItsOwn(t *testing.T) {
	d := stateDir(t)
	j := begin(t, d, "run")
	look := func(key, where, answer string) {
		j.Event(effect.Event{
			Type: effect.OpEnd, Op: &effect.Op{Name: "redis.lrange", Class: effect.Read, Target: key, Where: where},
			Result: &effect.Result{Outcome: effect.OK, Summary: answer, Duration: time.Duration(len(where))},
		})
	}
	for sweep := range 9 {
		for key := range 100 {
			look(fmt.Sprint("frontend:", key), fmt.Sprint("lib/route.lua:", sweep), "2 items")
		}
	}
	look("frontend:7", "a", "3 items")
	look("frontend:7", "b", "2 items")
	if err := j.End("ok", 0, 0, nil); err != nil {
		t.Fatal(err)
	}
	looks, folded := 0, map[string]int(nil)
	if err := d.Replay("run", func(r *Record) error {
		if r.Type == Looked {
			looks++
		}
		if r.Type == Folded {
			folded = r.Folded
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"redis.lrange": 800}, folded); diff != "" || looks != 102 {
		t.Errorf("%d lines, %s", looks, diff)
	}
}

// sourceNames returns the names of the kept recipe files.
func sourceNames(t *testing.T, d *Dir) []string {
	t.Helper()
	names, err := list(d.sources())
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == sourcesLock })
}

func TestASourceIsKeptOnceAndGoesWithTheLastJournalThatNamesIt(t *testing.T) {
	d := stateDir(t)
	run := func(text string) string {
		j := begin(t, d, "")
		j.Loaded("a.lua", []byte(text))
		j.Loaded("lib/same.lua", []byte("return 1"))
		if err := j.End("ok", 0, 0, nil); err != nil {
			t.Fatal(err)
		}
		return j.ID()
	}
	run("return 'one'")
	first := run("return 'one'")
	if got := sourceNames(t, d); len(got) != 2 {
		t.Fatalf("%v", got)
	}
	cut := begin(t, d, "")
	cut.Loaded("a.lua", []byte("return 'cut off'"))
	cut.file.Close()
	for range 3 {
		run("return 'two'")
	}
	if got := sourceNames(t, d); len(got) != 4 {
		t.Fatalf("%v", got)
	}
	if _, err := d.Tidy(4, time.Hour); err != nil {
		t.Fatal(err)
	}
	if files, err := d.Sources(find(t, d, first)); err != nil || files["a.lua"] != "return 'one'" {
		t.Errorf("of one that is still there: %v, %v", files, err)
	}
	for range 3 { // what was marked anew is looked at again
		if _, err := d.Tidy(2, time.Hour); err != nil {
			t.Fatal(err)
		}
		run("return 'two'")
	}
	if got := sourceNames(t, d); len(got) != 3 {
		t.Errorf("%d sources: %v", len(got), got)
	}
	if files, err := d.Sources(find(t, d, cut.ID())); err != nil || files["a.lua"] != "return 'cut off'" {
		t.Errorf("of one that was cut off: %v, %v", files, err)
	}
	if err := os.Remove(cut.path); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		if _, err := d.Tidy(2, time.Hour); err != nil {
			t.Fatal(err)
		}
		run("return 'two'")
	}
	if got := sourceNames(t, d); len(got) != 2 {
		t.Errorf("%d sources: %v", len(got), got)
	}
}

func TestASourceThatIsDamagedIsSaidAndMendedByTheNextRun(t *testing.T) {
	d := stateDir(t)
	load := func(id string) *Run {
		j := begin(t, d, id)
		j.Loaded("a.lua", []byte("return 1"))
		j.file.Close()
		return find(t, d, id)
	}
	run := load("one")
	if err := os.WriteFile(filepath.Join(d.sources(), sourceNames(t, d)[0]), []byte("return 2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Sources(run); failure.KindOf(err) != failure.Journal || !strings.Contains(err.Error(), "a.lua as run one loaded it") {
		t.Errorf("%v", err)
	}
	load("two")
	if files, err := d.Sources(run); err != nil || files["a.lua"] != "return 1" {
		t.Errorf("%v, %v", files, err)
	}
}

func TestASourceThatCannotBeKeptStopsTheRunBeforeItsNextEffect(t *testing.T) {
	d := stateDir(t)
	j := begin(t, d, "run")
	if err := os.WriteFile(d.sources(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j.Loaded("a.lua", []byte("return 1"))
	if err := j.Allow(t.Context(), &effect.Op{Name: "docker.start", Class: effect.Write}); failure.KindOf(err) != failure.Journal {
		t.Errorf("%v", err)
	}
}

func TestWhatWasCutOffIsPrunedInTime(t *testing.T) {
	d := stateDir(t)
	live := begin(t, d, "20190101T000000-000aaa")
	for _, id := range []string{"20200101T000000-000aaa", "20990101T000000-000aaa"} {
		begin(t, d, id).file.Close()
	}
	if left, err := d.Tidy(1, 24*time.Hour); err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
	ids, err := d.IDs()
	if diff := cmp.Diff([]string{"20990101T000000-000aaa", live.ID()}, ids); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestManyThatPruneAndBeginAtOnceLoseNothing(t *testing.T) {
	d := stateDir(t)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			mine := Open(d.Path(), clock.Wall{})
			for round := range 20 {
				j, err := mine.Begin(Header{App: "app"}, Settings{Clean: hide})
				if err != nil {
					t.Error(err)
					return
				}
				j.Loaded("a.lua", fmt.Appendf(nil, "return %d", round))
				if _, err := mine.Tidy(3, time.Hour); err != nil {
					t.Error(err)
				}
				if err := j.Allow(context.Background(), &effect.Op{Seq: 1, Class: effect.Write}); err != nil {
					t.Error(err)
				}
				run, err := mine.Find(j.ID())
				if err == nil {
					_, err = mine.Sources(run)
				}
				if err != nil || !run.Running {
					t.Errorf("worker %d: %v", worker, err)
				}
				if err := j.End("ok", 0, 0, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := d.Tidy(3, time.Hour); err != nil {
		t.Fatal(err)
	}
	if ids, _ := d.IDs(); len(ids) > 130 {
		t.Errorf("%d are left", len(ids))
	}
}
