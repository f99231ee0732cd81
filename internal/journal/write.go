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

	mu     sync.Mutex
	file   file
	n      int
	broken error             // the first error of writing; nothing is written after it
	intent map[int]bool      // calls whose intent is on disk, and that have not ended
	memo   map[string][]byte // what an earlier run kept, and this one
}

// ID returns the run's name.
func (j *Journal) ID() string { return j.id }

// App returns what the run is found by.
func (j *Journal) App() string { return j.app }

// file is what a journal is written to.
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
	return j.append(r, durable)
}

func (j *Journal) append(r *Record, durable bool) error {
	if j.broken != nil {
		return j.broken
	}
	r.N, r.Time = j.n+1, j.clock.Now().UTC()
	line, err := encodeLine(r)
	if err != nil {
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
	return nil
}

func (j *Journal) unwritable(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return failure.Wrap(failure.Journal, err, "write the journal %s", j.path).
		WithHint("nothing is done that the journal cannot hold: make room there, or name another directory with --state, and run again")
}

// Allow implements effect.Guard: what may change something passes when its intent
// is on disk. What takes back a run's doings passes in any case.
func (j *Journal) Allow(ctx context.Context, op *effect.Op) error {
	if !op.Class.Mutates() {
		return nil
	}
	err := j.write(&Record{Type: Intent, Op: j.cleaned(op)}, true)
	if err != nil && !effect.Undoing(ctx) {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.intent[op.Seq] = err == nil
	return nil
}

// cleaned is a copy of op without secrets. The runtime has cleaned it already:
// this is for what a handler put there since.
func (j *Journal) cleaned(op *effect.Op) *effect.Op {
	c := *op
	c.Target, c.Args = j.clean(op.Target), make([]effect.Arg, len(op.Args))
	for i, a := range op.Args {
		c.Args[i] = effect.Arg{Name: a.Name, Value: j.clean(a.Value)}
	}
	return &c
}

// Event implements effect.Sink. That something could not be written is told by
// Allow, before the next effect, and by End.
func (j *Journal) Event(ev effect.Event) {
	r := j.record(ev)
	if r == nil {
		return
	}
	_ = j.write(r, false)
}

func (j *Journal) record(ev effect.Event) *Record {
	switch ev.Type {
	case effect.OpEnd:
		res := &Result{
			Outcome: ev.Result.Outcome, Duration: ev.Result.Duration,
			Summary: j.clean(ev.Result.Summary), Error: newError(ev.Result.Err, j.clean),
		}
		j.mu.Lock()
		intended := j.intent[ev.Op.Seq]
		delete(j.intent, ev.Op.Seq)
		j.mu.Unlock()
		if intended {
			return &Record{Type: Outcome, Seq: ev.Op.Seq, Result: res}
		}
		return &Record{Type: Looked, Op: j.cleaned(ev.Op), Result: res}
	case effect.StepStart:
		return &Record{Type: StepBegins, Step: &Step{Path: ev.Step.Path, Branch: ev.Step.Branch, Where: ev.Step.Where}}
	case effect.StepEnd:
		return &Record{Type: StepEnds, Step: &Step{
			Path: ev.Step.Path, Branch: ev.Step.Branch, Duration: ev.Step.Duration, Error: newError(ev.Step.Err, j.clean),
		}}
	case effect.LogLine:
		log := *ev.Log
		log.Text = j.clean(log.Text)
		return &Record{Type: LogLine, Log: &log}
	case effect.Deferred:
		return &Record{Type: Deferred, Undo: ev.Undo}
	case effect.Withdrawn:
		return &Record{Type: Withdrawn, Undo: ev.Undo}
	case effect.Undone:
		undo := *ev.Undo
		undo.Said = j.clean(undo.Said)
		return &Record{Type: Undone, Undo: &undo, Error: newError(ev.Undo.Err, j.clean)}
	}
	return nil
}

// Loaded pins a file of the recipe. It is durable with the next intent.
func (j *Journal) Loaded(name string, source []byte) {
	_ = j.write(&Record{Type: SourceRead, Source: &Source{File: name, Text: string(source)}}, false)
}

// Was notes how something was before the call that is about to be made.
func (j *Journal) Was(w Was) { _ = j.write(&Record{Type: Found, Was: &w}, false) }

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
		return failure.New(failure.Invalid, "what %s returned holds a secret, which no journal may keep", name)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.append(&Record{Type: Kept, Memo: &Memo{Name: name, Value: raw}}, true); err != nil {
		return err
	}
	j.memo[name] = raw
	return nil
}

// End writes how the run ended and closes the journal. An error says that the
// journal is not complete.
func (j *Journal) End(status string, effects int, took time.Duration, err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	wrote := j.append(&Record{Type: RunEnds, End: &End{
		Status: status, Effects: effects, Duration: took, Error: newError(err, j.clean),
	}}, true)
	if wrote == nil {
		// Renamed under its lock: nobody takes it for one that was cut off.
		wrote = j.dir.finish(j.path)
	}
	return errors.Join(wrote, j.file.Close())
}
