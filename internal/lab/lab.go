// Package lab gives tests, benchmarks and the demo a real Docker engine and a
// real Redis, each with a private socket and directory, and takes them away
// without a trace. Linux only; the engine needs root.
//
// A test starts with ForTest, which shares one lab among the tests of a binary,
// or New for a lab to break. Other programs use StartEngine and StartRedis.
// SampleImages builds the sample app of demo/sample on an engine.
//
// Several labs can run at one time, in one program or in several. A lab whose
// program was killed is cleared by the next one that starts in the same
// directory. What belongs to a lab, and how that is known, is in residue.go.
//
// MEPC_TEST_DOCKER_HOST and MEPC_TEST_REDIS_URL name servers to use instead.
// Of those, only what is known to be the lab's is removed; see Lab.Stop.
package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	envDocker = "MEPC_TEST_DOCKER_HOST"
	envRedis  = "MEPC_TEST_REDIS_URL"

	// envBin is the BinDir of engines that have none, and envStore the store of
	// their images: containerd, or graphdriver.
	envBin   = "MEPC_TEST_ENGINE_BIN"
	envStore = "MEPC_TEST_ENGINE_STORE"
)

// Lab is an engine and a Redis.
type Lab struct {
	Engine *Engine
	Redis  *Redis

	mu    sync.Mutex
	names []string // given by Name
}

// Options says how a lab's servers run. The environment's are used only for a
// server whose options are zero: a test that asks for something particular gets
// it.
type Options struct {
	Engine EngineOptions
	Redis  RedisOptions
}

// Start starts an engine and a Redis, or takes those that the environment
// names. The caller must Stop the lab.
func Start(ctx context.Context, opts Options) (*Lab, error) {
	l := &Lab{}
	var engineErr, redisErr error
	var both sync.WaitGroup
	both.Go(func() {
		if host := os.Getenv(envDocker); host != "" && opts.Engine.isZero() {
			l.Engine, engineErr = borrowEngine(ctx, host)
			return
		}
		l.Engine, engineErr = StartEngine(ctx, opts.Engine)
	})
	both.Go(func() {
		if url := os.Getenv(envRedis); url != "" && opts.Redis.isZero() {
			l.Redis, redisErr = borrowRedis(ctx, url)
			return
		}
		l.Redis, redisErr = StartRedis(ctx, opts.Redis)
	})
	both.Wait()
	if err := errors.Join(engineErr, redisErr); err != nil {
		return nil, errors.Join(err, l.Stop())
	}
	return l, nil
}

// Stop ends the servers and removes all that they made. Of borrowed ones it
// removes the sample images, the containers made of them, and what was called by
// a name from Lab.Name. It may be called again.
func (l *Lab) Stop() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	if l.Engine != nil {
		errs = append(errs, l.Engine.giveBack(l.names), l.Engine.Stop())
	}
	if l.Redis != nil {
		errs = append(errs, l.Redis.giveBack(l.names), l.Redis.Stop())
	}
	return errors.Join(errs...)
}

// New starts a lab for one test, to be broken as it likes, and stops it when
// the test ends. It skips the test under -short and fails it, saying what to
// install, where a lab cannot run.
func New(tb testing.TB, opts Options) *Lab {
	tb.Helper()
	skipShort(tb)
	l, err := Start(tb.Context(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Stop(); err != nil {
			tb.Errorf("stop the lab: %v", err)
		}
	})
	return l
}

// ForTest returns the lab that the tests of this binary share; the first one
// to ask starts it. It is stopped by Main or, in a binary whose TestMain does
// not call Main, whenever no test uses it any more. It skips the test under
// -short and fails it, saying what to install, where a lab cannot run.
//
// Tests that run at one time must tell their containers and keys apart by name;
// see Lab.Name. A test that kills or pauses a server takes one of its own from New.
func ForTest(tb testing.TB) *Lab {
	tb.Helper()
	skipShort(tb)
	l, err := shared.get()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := shared.put(); err != nil {
			tb.Errorf("stop the lab: %v", err)
		}
	})
	return l
}

// Name returns a name that no other test uses, for a container, a network or a
// Redis key: prefix, a dash and ten random characters. On borrowed servers Stop
// removes the containers, networks and keys that have it in their names.
func (l *Lab) Name(prefix string) string {
	name := prefix + "-" + randomText(10)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names = append(l.names, name)
	return name
}

// Main runs a binary's tests with one shared lab and returns the exit code:
//
//	func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }
//
// SIGINT and SIGTERM end the tests and stop the lab first.
func Main(m *testing.M) int {
	shared.hold()
	code := make(chan int, 1)
	go func() { code <- m.Run() }()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	exit := 0
	select {
	case exit = <-code:
	case s := <-stop:
		fmt.Fprintf(os.Stderr, "lab: %v: stopping\n", s)
		exit = 1
	}
	if err := shared.release(); err != nil {
		fmt.Fprintf(os.Stderr, "stop the lab: %v\n", err)
		exit = max(exit, 1)
	}
	return exit
}

func skipShort(tb testing.TB) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs a real Docker engine and Redis: not with -short")
	}
}

// shared is the one lab of a test binary. It has to be a package variable:
// tests have nothing else in common.
var shared sharedLab

type sharedLab struct {
	mu    sync.Mutex
	lab   *Lab
	err   error // of the one attempt to start: the next would fail alike
	users int   // tests that have it
	held  bool  // by Main
}

func (s *sharedLab) get() (*Lab, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lab == nil && s.err == nil {
		// Not the context of the test that happens to come first.
		ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
		defer cancel()
		s.lab, s.err = Start(ctx, Options{})
	}
	if s.err == nil {
		s.users++
	}
	return s.lab, s.err
}

func (s *sharedLab) put() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	return s.stopUnused()
}

func (s *sharedLab) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = true
}

func (s *sharedLab) release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.users = false, 0
	return s.stopUnused()
}

func (s *sharedLab) stopUnused() error {
	if s.held || s.users > 0 || s.lab == nil {
		return nil
	}
	l := s.lab
	s.lab = nil
	return l.Stop()
}

func randomText(n int) string {
	// rand.Text is base32 in capitals, which a container's name may have but
	// an image's may not.
	b := []byte(rand.Text()[:n])
	for i, c := range b {
		if c >= 'A' {
			b[i] = c | 0x20 // lower case
		}
	}
	return string(b)
}
