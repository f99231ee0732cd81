package journal

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// Journal is the open journal of a run: a guard, which must be the last one, and
// a sink of its gate. It is safe for concurrent use.
type Journal struct {
	dir   *Dir
	id    string
	app   string
	path  string // ends in .open
	clock clock.Clock
	clean func(string) string
	began time.Time

	mu      sync.Mutex
	file    file
	n       int               // lines
	size    int64             // bytes
	effects int               // as in Record
	cut     bool              // a line was left out since the file is large
	broken  error             // the first error of writing; nothing is written after it
	intent  map[int]bool      // calls whose intent is on disk, and that have not ended
	unkept  map[int]error     // calls of which it could not be noted how things were before
	memo    map[string][]byte // what an earlier run kept, and this one
	looks   looks
	ended   bool
}

// ID returns the run's name.
func (j *Journal) ID() string { return j.id }

// App returns what the run is found by.
func (j *Journal) App() string { return j.app }

// file is the file a journal is written to.
type file interface {
	Write([]byte) (int, error)
	Sync() error
	Close() error
}

// write appends a record; with durable it waits until that, and all before it,
// is on disk.
func (j *Journal) write(r *Record, durable bool) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.append(r, durable, false)
}

// append is write with the lock held. undoing says that r is about a compensation.
func (j *Journal) append(r *Record, durable, undoing bool) error {
	return failure.Protect(func() error { return j.appendLine(r, durable, undoing) })
}

func (j *Journal) appendLine(r *Record, durable, undoing bool) error {
	if j.broken != nil {
		return j.broken
	}
	j.count(r, 1)
	r.N, r.Time, r.Effects = j.n+1, j.clock.Now().UTC(), j.effects
	line, err := encodeLine(r)
	if err == nil && j.size+int64(len(line)) > r.room(undoing) {
		err = j.full(r)
	}
	if err != nil {
		j.count(r, -1)
		return err
	}
	if _, err = j.file.Write(line); err == nil && durable {
		err = j.file.Sync()
	}
	if err != nil {
		j.broken = j.unwritable(err)
		return j.broken
	}
	j.n++
	j.size += int64(len(line))
	return nil
}

// count adds to the effects what r tells, times by.
func (j *Journal) count(r *Record, by int) {
	switch {
	case r.Type == Intent:
		j.effects += by
	case r.Type == Outcome && (r.Result.Outcome == effect.Unchanged || r.Result.Outcome == effect.Refused):
		j.effects -= by
	}
}

// full notes, once, that lines are left out from here on, and returns what is said
// of r, which there is no room for.
func (j *Journal) full(r *Record) error {
	if !j.cut {
		j.cut = true
		if err := j.append(&Record{Type: Cut}, false, false); err != nil {
			return err
		}
	}
	return failure.New(failure.Journal, "the journal %s is full: %d MiB, with no room for the next %s", j.path, j.size>>20, r.Type).
		WithHint("do the work in several runs: every effect must be in a journal first")
}

func (j *Journal) unwritable(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return failure.Wrap(failure.Journal, err, "write the journal %s", j.path).
		WithHint("every effect must be in the journal first: make room there, or name another directory with --state, and run again")
}

// Allow implements effect.Guard: what may change something passes when its intent
// is on disk, and how things were. What undoes a run passes in any case.
func (j *Journal) Allow(ctx context.Context, op *effect.Op) error {
	if !op.Class.Mutates() {
		return nil
	}
	undoing := effect.Undoing(ctx)
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.unkept[op.Seq]
	delete(j.unkept, op.Seq)
	if err == nil {
		err = failure.Protect(func() error {
			return j.append(&Record{Type: Intent, Op: j.cutter().op(op)}, true, undoing)
		})
	}
	if err != nil && !undoing {
		return err
	}
	j.intent[op.Seq] = err == nil
	return nil
}

// Event implements effect.Sink. That something could not be written is told by
// Allow, before the next effect, and by End.
func (j *Journal) Event(ev effect.Event) {
	r := j.record(ev)
	if r == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.Type == Looked {
		if intended := j.intent[ev.Op.Seq]; intended {
			r = &Record{Type: Outcome, Seq: ev.Op.Seq, Result: r.Result}
		} else if j.looks.known(r) {
			return
		}
		delete(j.intent, ev.Op.Seq)
	}
	_ = j.append(r, false, false)
}

// record is the record of an event; nil: it has none. A call is Looked, until it is
// known to have had an intent.
func (j *Journal) record(ev effect.Event) *Record {
	c := j.cutter()
	switch ev.Type {
	case effect.OpEnd:
		return &Record{Type: Looked, Op: c.op(ev.Op), Result: &Result{
			Outcome: ev.Result.Outcome, Duration: ev.Result.Duration,
			Summary: c.text(ev.Result.Summary), Error: c.error(ev.Result.Err),
		}}
	case effect.StepStart:
		return &Record{Type: StepBegins, Step: &Step{Path: c.path(ev.Step.Path), Branch: c.name(ev.Step.Branch), Where: c.name(ev.Step.Where)}}
	case effect.StepEnd:
		return &Record{Type: StepEnds, Step: &Step{
			Path: c.path(ev.Step.Path), Branch: c.name(ev.Step.Branch), Duration: ev.Step.Duration, Error: c.error(ev.Step.Err),
		}}
	case effect.LogLine:
		return &Record{Type: LogLine, Log: c.log(ev.Log)}
	case effect.Deferred:
		return &Record{Type: Deferred, Undo: c.compensation(ev.Undo)}
	case effect.Withdrawn:
		return &Record{Type: Withdrawn, Undo: c.compensation(ev.Undo)}
	case effect.Undone:
		return &Record{Type: Undone, Undo: c.compensation(ev.Undo), Error: c.error(ev.Undo.Err)}
	}
	return nil
}

// Loaded pins a file of the recipe: its text goes to the directory's sources, its
// hash into the journal. It is durable with the next intent.
func (j *Journal) Loaded(name string, source []byte) {
	hash, err := j.dir.keepSource(source, j.began)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil && j.broken == nil {
		j.broken = j.unwritable(err)
	}
	_ = j.append(&Record{Type: SourceRead, Source: &Source{File: name, Hash: hash}}, false, false)
}

// Was notes how something was before the call that is about to be made. The call is
// not made when it cannot be noted.
func (j *Journal) Was(w Was) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.append(&Record{Type: Found, Was: &w}, false, false); err != nil {
		j.unkept[w.Seq] = err
	}
}

// Locked notes a lock that was taken. It is durable at return.
func (j *Journal) Locked(l Lock) error { return j.write(&Record{Type: Locked, Lock: &l}, true) }

// Recall returns what this run, or the one that it resumes, kept under name.
func (j *Journal) Recall(name string) (any, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	raw, ok := j.memo[name]
	if !ok {
		return nil, false
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, false
	}
	return v, true
}

// Keep keeps value under name. It is durable at return.
func (j *Journal) Keep(name string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return failure.Wrap(failure.Invalid, err, "keep what %s returned", name)
	}
	if j.clean(string(raw)) != string(raw) {
		return failure.New(failure.Invalid, "what %s returned holds a secret, and journals hold no secrets", name)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.append(&Record{Type: Kept, Memo: &Memo{Name: name, Value: raw}}, true, false); err != nil {
		return err
	}
	j.memo[name] = raw
	return nil
}

// Effects returns how many effects have an intent here, and were not found to have
// done nothing.
func (j *Journal) Effects() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.effects
}

// End writes how the run ended and closes the journal. An error says that the
// journal is not complete.
func (j *Journal) End(status string, effects int, took time.Duration, err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ended {
		return nil
	}
	j.ended = true
	if len(j.looks.folded) > 0 {
		_ = j.append(&Record{Type: Folded, Folded: j.looks.folded}, false, false)
	}
	end := &End{Status: status, Effects: effects, Duration: took}
	bug := failure.Protect(func() error { end.Error = j.cutter().error(err); return nil })
	if bug != nil { // that it failed is said all the same
		end.Error = &Error{Kind: failure.KindOf(err), Message: "an error that cannot be written"}
	}
	wrote := j.append(&Record{Type: RunEnds, End: end}, true, false)
	if wrote == nil {
		// Renamed under its lock: nobody takes it for one that was cut off.
		wrote = j.dir.finish(j.path)
	}
	return errors.Join(wrote, bug, j.file.Close())
}
