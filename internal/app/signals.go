package app

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/mepc/mepc-run/internal/failure"
)

// signals returns a context that ends at the first SIGINT, SIGTERM or SIGHUP, one
// that ends at the second, and a function that stops listening. The first ends
// the run, which then undoes what it deferred; the second ends the undoing; the
// third ends the process at once.
func signals() (run, abort context.Context, stop func()) {
	run, endRun := context.WithCancelCause(context.Background())
	abort, endAbort := context.WithCancelCause(context.Background())
	got := make(chan os.Signal, 2)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // as nohup has it, and a shell's background jobs
			signal.Notify(got, s)
		}
	}
	done := make(chan struct{})
	failure.Go(func() error {
		for _, end := range []context.CancelCauseFunc{endRun, endAbort} {
			select {
			case s := <-got:
				end(failure.New(failure.Cancelled, "interrupted by %s", signalName(s)))
			case <-done:
				return nil
			}
		}
		signal.Stop(got)
		return nil
	})
	return run, abort, func() {
		signal.Stop(got)
		close(done)
		endRun(nil)
		endAbort(nil)
	}
}

func signalName(s os.Signal) string {
	switch s {
	case os.Interrupt:
		return "Ctrl-C (SIGINT)"
	case syscall.SIGHUP:
		return "the end of the terminal (SIGHUP)"
	}
	return "SIGTERM"
}

// outliveReaders makes a write to a closed pipe an error, where it would end the
// process: a reader that has seen enough must not end a deployment midway.
// SIGPIPE is caught, not ignored, since programs that are started (ssh) would
// inherit that.
func outliveReaders() (stop func()) {
	unread := make(chan os.Signal, 1)
	signal.Notify(unread, syscall.SIGPIPE)
	return func() { signal.Stop(unread) }
}
