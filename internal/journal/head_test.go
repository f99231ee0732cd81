package journal

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// agree fails unless the two ends of a journal tell what all of it tells.
func agree(t *testing.T, data []byte) {
	t.Helper()
	run, bad := Read(bytes.NewReader(data))
	h := &Head{}
	from, err := h.readFirst(&ends{held: data})
	if err != nil {
		t.Fatal(err)
	}
	if h.Bad != nil {
		if first, _, _ := bytes.Cut(data, []byte("\n")); bad == nil && checkLine(first) == nil {
			t.Errorf("the first line is whole, and: %v", h.Bad)
		}
		return
	}
	if bad != nil {
		t.Fatalf("a head, and %v", bad)
	}
	end, err := h.readTail(&ends{held: data}, from, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if h.ID != run.ID || h.Settled == nil != (run.Settled == nil) || h.Ended == nil != (run.Ended == nil) || h.Effects >= 0 && h.Effects != run.Effects {
		t.Errorf("the ends: %+v\nall of it: %+v", h, run.Head)
	}
	if end >= 0 && end != run.whole {
		t.Errorf("%d bytes are whole, and by the ends %d", run.whole, end)
	}
}

func TestTheEndsOfAJournalTellWhatAllOfItTells(t *testing.T) {
	d := stateDir(t)
	j := begin(t, d, "run")
	play(t, j)
	open, _ := os.ReadFile(j.path)
	if err := j.End("failed", 2, time.Second, nil); err != nil {
		t.Fatal(err)
	}
	ended, _ := os.ReadFile(strings.TrimSuffix(j.path, openExt) + endedExt)
	for n := range len(ended) + 1 {
		agree(t, ended[:n])
	}
	for range 3000 {
		data := slices.Clone(open)
		for range 1 + rand.IntN(3) {
			data[rand.IntN(len(data))] ^= 1 << rand.IntN(8)
		}
		agree(t, data)
	}
}

// What of 40 MB of a journal is read to list its run.
func TestALargeJournalIsReadAtItsEndsAlone(t *testing.T) {
	d := stateDir(t)
	j := begin(t, d, "run")
	play(t, j)
	f, _ := os.OpenFile(j.path, os.O_WRONLY, 0)
	info, _ := f.Stat()
	whole, _ := os.ReadFile(j.path)
	last := whole[bytes.LastIndexByte(whole[:len(whole)-1], '\n')+1:]
	if _, err := f.WriteAt(append([]byte("\n"), last...), info.Size()+40<<20); err != nil {
		t.Fatal(err)
	}
	h, err := d.head("run" + openExt)
	if err != nil || h.Bad != nil || h.Effects != 2 || !h.Running {
		t.Fatalf("%+v, %v", h, err)
	}
	counted := &counter{f: must(os.Open(j.path))}
	again := &Head{}
	from, _ := again.readFirst(&ends{rest: counted})
	info, _ = f.Stat()
	if _, err := again.readTail(&ends{rest: counted}, from, info.Size()); err != nil || counted.n > 3*headPart {
		t.Errorf("%d bytes read, %v", counted.n, err)
	}
	j.file.Close()
	f.Close()
	if err := d.Settle("run", By{Run: "x", How: "aborted"}, true); err != nil {
		t.Fatal(err)
	}
	if run := find(t, d, "run"); run.Status() != "aborted" || run.Damaged != 1 {
		t.Errorf("%s, %d damaged", run.Status(), run.Damaged)
	}
}

type counter struct {
	f *os.File
	n int
}

func (c *counter) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.f.ReadAt(p, at)
	c.n += n
	return n, err
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestAHoleAtTheEndIsNoReasonToReadAllOfIt(t *testing.T) {
	d := stateDir(t)
	j := begin(t, d, "run")
	j.file.Close()
	if err := os.Truncate(j.path, 8<<20); err != nil {
		t.Fatal(err)
	}
	left, err := d.CutOff()
	if err != nil || len(left) != 1 || left[0].Effects != -1 {
		t.Fatalf("%v, %v", left, err)
	}
	if err := d.Settle("run", By{Run: "x", How: "superseded"}, false); err != nil {
		t.Fatal(err)
	}
	h, err := d.Head("run")
	if err != nil || h.Status() != "superseded" {
		t.Fatalf("%+v, %v", h, err)
	}
	run := find(t, d, "run")
	if run.Status() != "superseded" || run.Damaged != 1 {
		t.Errorf("%s, %d damaged", run.Status(), run.Damaged)
	}
}

func TestWhatIsNoJournalIsNamedAndTheOthersAreListed(t *testing.T) {
	d := stateDir(t)
	if err := begin(t, d, "20260101T000000-000aaa").End("ok", 0, 0, nil); err != nil {
		t.Fatal(err)
	}
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(d.runs(), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("20260102T000000-000aaa.jsonl", "")
	put("20260103T000000-000aaa.open", "{}\n")
	newer, err := encodeLine(&Record{Type: RunBegins, Run: &Header{Format: Format + 1, ID: "20260104T000000-000aaa"}})
	if err != nil {
		t.Fatal(err)
	}
	put("20260104T000000-000aaa.jsonl", string(newer))
	if err := os.Mkdir(filepath.Join(d.runs(), "20260105T000000-000aaa.jsonl"), 0o700); err != nil {
		t.Fatal(err)
	}
	first, err := encodeLine(&Record{Type: RunBegins, Run: &Header{Format: Format, ID: "20260106T000000-000aaa"}})
	if err != nil {
		t.Fatal(err)
	}
	put("20260106T000000-000aaa.jsonl", string(first)) // it was renamed, and has no end
	var got []string
	if err := d.Each(func(h *Head) error {
		damage := ""
		if err := h.Damage(); err != nil {
			damage = err.Error()
		}
		got = append(got, h.ID[:8]+" "+h.Status()+" "+damage)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"20260106 damaged " + errNoEnd.Error(), "20260105 damaged " + errNoFile.Error(),
		"20260104 damaged it is of format 3, and this mepc-run knows formats up to 2: read it with a newer one",
		"20260103 damaged " + errNoHeader.Error(), "20260102 damaged " + ErrNotBegun.Error(), "20260101 ok ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if _, err := d.Find("20260103"); failure.KindOf(err) != failure.Journal || !strings.Contains(err.Error(), "20260103T000000-000aaa") {
		t.Errorf("%v", err)
	}
}

// A journal of format 1 has sources in it, and no count of effects in its lines.
func TestAJournalOfFormat1IsRead(t *testing.T) {
	d := Open(filepath.Join("testdata", "format1"), clock.Wall{})
	var got []string
	if err := d.Each(func(h *Head) error {
		got = append(got, h.App+" "+h.Status())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"app cut off", "app failed"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	run := find(t, d, "cutoff")
	files, err := d.Sources(run)
	if err != nil || files["bluegreen.lua"] != "-- <a> & b\nreturn 1\n" || run.Effects != 2 || !run.CutOff() {
		t.Errorf("%v, %v, %d effects, %s", files, err, run.Effects, run.Status())
	}
	if h, err := d.Head(run.ID); err != nil || h.Effects != -1 {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestEffectsAreCountedAsTheyEnd(t *testing.T) {
	d := stateDir(t)
	j := begin(t, d, "run")
	for seq, outcome := range []effect.Outcome{effect.OK, effect.Unchanged, effect.Refused, effect.Unknown} {
		op := &effect.Op{Seq: seq + 1, Name: "docker.start", Class: effect.Write}
		if err := j.Allow(t.Context(), op); err != nil {
			t.Fatal(err)
		}
		if h, _ := d.Head("run"); h.Effects != []int{1, 2, 2, 2}[seq] { // it may be done
			t.Errorf("call %d under way: %d effects", seq+1, h.Effects)
		}
		j.Event(effect.Event{Type: effect.OpEnd, Op: op, Result: &effect.Result{Outcome: outcome}})
		if h, _ := d.Head("run"); h.Effects != []int{1, 1, 1, 2}[seq] {
			t.Errorf("call %d, %s: %d effects", seq+1, outcome, h.Effects)
		}
	}
}
