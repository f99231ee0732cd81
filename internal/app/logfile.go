package app

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/mepc/mepc-run/internal/failure"
)

// logFile is appended to, and reopened on SIGHUP: to rotate it, rename it
// first. It takes the signal for itself.
type logFile struct {
	name string
	hup  chan os.Signal

	mu sync.Mutex
	f  *os.File
}

func openLogFile(name string) (*logFile, error) {
	l := &logFile{name: name, hup: make(chan os.Signal, 1)}
	if err := l.open(); err != nil {
		return nil, err
	}
	signal.Reset(syscall.SIGHUP)
	signal.Notify(l.hup, syscall.SIGHUP)
	failure.Go(func() error {
		for range l.hup {
			_ = l.open() // else the old one goes on
		}
		return nil
	})
	return l, nil
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f != nil {
		_ = l.f.Close()
	}
	l.f = f
	return nil
}

func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Write(b)
}

func (l *logFile) Close() error {
	signal.Stop(l.hup)
	close(l.hup)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}
