package queue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mepc/mepc-run/internal/journal"
)

// run brings a request to its end: it waits for the process that has it, begins
// it, or resumes it, as the journal says. nil: the server ends first.
func (q *Queue) run(e *entry) *Result {
	for {
		file, _, runs, err := q.store.hold(e.ID)
		if err != nil {
			return &Result{Status: NotBegun, Text: "its request cannot be read: " + err.Error()}
		}
		at, running, res := q.next(e, runs)
		switch {
		case file == nil:
			q.opts.Log.Info("taken over", "run", at.ID, "recipe", e.Recipe, "app", e.App)
			q.wait(e, at.ID, &adopted{q, e.ID, at.ID})
			continue
		case running: // the kernel is about to drop its journal's lock, too
			_ = file.Close()
			_ = q.opts.Clock.Sleep(context.Background(), look)
			continue
		case res != nil || q.isClosed():
			_ = file.Close() // nothing was written by us
			return res
		}
		p, err := q.opts.Start(&e.Request, at, file)
		_ = file.Close() // the process has it
		switch {
		case errors.Is(err, ErrClosed):
			return nil
		case err != nil:
			return &Result{Status: NotBegun, Text: err.Error()}
		}
		told := []any{"run", at.ID, "recipe", e.Recipe, "app", e.App, "who", e.Who}
		if at.Resumes != "" {
			told = append(told, "resumes", at.Resumes)
		}
		q.opts.Log.Info("started", told...)
		said := q.wait(e, at.ID, p)
		if run, err := q.opts.Journal.Head(at.ID); run == nil {
			if q.isKilled(e) {
				said = "its process was killed before it began"
			}
			if err != nil {
				said = err.Error()
			}
			return &Result{Status: NotBegun, Text: said}
		}
	}
}

// next returns the attempt that goes on or comes next, or how the request ended.
// runs are those that are known to have begun.
func (q *Queue) next(e *entry, runs []string) (at Attempt, running bool, res *Result) {
	at.ID = e.ID
	for n := 1; ; n++ {
		run, err := q.opts.Journal.Head(at.ID)
		switch {
		case errors.Is(err, journal.ErrNotBegun) && n > len(runs) && n <= attempts: // its process died at once
			at.ID = attemptID(e.ID, n+1)
			continue
		case err != nil: // what it did is unknown: it is not done again
			return at, false, &Result{Status: "unknown", Text: err.Error()}
		case run == nil && n <= len(runs):
			return at, false, &Result{Status: "unknown", Text: "the journal of its run " + at.ID + " is gone"}
		case run == nil:
			return at, false, nil
		}
		q.setRun(e, at.ID)
		switch {
		case run.Running:
			return at, true, nil
		case run.Settled != nil && run.Settled.Run == attemptID(e.ID, n+1): // that run tells how it ended
			at = Attempt{ID: run.Settled.Run, Resumes: at.ID}
			continue
		case !run.CutOff():
			return at, false, result(run)
		case n >= attempts || q.isKilled(e):
			return at, false, &Result{Status: CutOff, Text: "its process died; mepc-run resume " + at.ID + " goes on with it"}
		}
		at = Attempt{ID: attemptID(e.ID, n+1), Resumes: at.ID}
	}
}

// attemptID names the n-th run of a request.
func attemptID(id string, n int) string { return id + "-" + strconv.Itoa(n) }

// requestOf returns the request that a run of attemptID is of.
func requestOf(run string) string {
	if at := strings.LastIndexByte(run, '-'); at > len("20060102T150405") {
		return run[:at]
	}
	return run
}

func result(run *journal.Head) *Result {
	res := &Result{Status: run.Status()}
	if run.Ended != nil && run.Ended.Error != nil {
		res.Text = run.Ended.Error.Message
	}
	if run.Settled != nil {
		res.Text = fmt.Sprintf("it was cut off, and %s by run %s", run.Settled.How, run.Settled.Run)
	}
	return res
}

// wait returns when the process has ended, with what it said.
func (q *Queue) wait(e *entry, run string, p Process) string {
	q.mu.Lock()
	e.process, e.Run = p, run
	q.tell()
	q.mu.Unlock()
	said := p.Wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	e.process = nil
	return said
}

func (q *Queue) setRun(e *entry, run string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e.Run = run
}

func (q *Queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

func (q *Queue) isKilled(e *entry) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return e.killed
}

// adopted is a process that an earlier server started.
type adopted struct {
	queue *Queue
	id    string // the request's
	run   string // which may be about to begin
}

// look is the interval between checks that an adopted process still lives. Only a server that
// took over from another looks at all.
const look = 50 * time.Millisecond

// Wait implements Process.
func (a *adopted) Wait() string {
	for {
		file, _, _, err := a.queue.store.hold(a.id)
		if err != nil {
			return err.Error()
		}
		if file != nil {
			_ = file.Close() // nothing was written by us
			return ""
		}
		_ = a.queue.opts.Clock.Sleep(context.Background(), look) // nothing ends it
	}
}

// signal sends to the process that holds the request's file.
func (a *adopted) signal(group bool, s syscall.Signal) error {
	run, err := a.queue.opts.Journal.Head(a.run)
	if err != nil || run == nil || !run.Running {
		return errors.Join(err, os.ErrProcessDone)
	}
	pid := run.PID
	if group {
		pid = -pid
	}
	return syscall.Kill(pid, s)
}

// Interrupt implements Process.
func (a *adopted) Interrupt() error { return a.signal(false, syscall.SIGTERM) }

// Kill implements Process.
func (a *adopted) Kill() error { return a.signal(true, syscall.SIGKILL) }
