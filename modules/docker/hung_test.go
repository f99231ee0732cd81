package docker_test

import (
	"sync"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/lab"
)

func TestAHungEngineEndsEveryCallInTime(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Options{})
	if err := lab.SampleImages(t.Context(), l.Engine, "1.0"); err != nil {
		t.Fatal(err)
	}
	b := benchAt(t, l.Engine.Host())
	b.run(`docker.create{name = "app", image = "mepc/app:1.0"}`)
	if err := l.Engine.Pause(); err != nil {
		t.Fatal(err)
	}
	b.timeout = 500 * time.Millisecond
	b.fail(failure.Timeout, `docker.inspect("app")`, "the run took longer than 500ms", "is slow or hangs")
	if err := l.Engine.Resume(); err != nil {
		t.Fatal(err)
	}
	b.timeout = 0
	b.run(`docker.inspect("app")`)

	// The engine hangs when the call has been sent: nobody knows, and it is said.
	b.on = func(ev effect.Event) {
		if ev.Type == effect.OpStart && ev.Op.Name == "docker.create" {
			if err := l.Engine.Pause(); err != nil {
				t.Error(err)
			}
		}
	}
	b.timeout = 2 * time.Second
	start := time.Now()
	b.fail(failure.Timeout, `docker.ping() docker.create{name = "other", image = "mepc/app:1.0"}`,
		"the run took longer than 2s", "is slow or hangs; it may or may not have taken effect: look before trying again")
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %s", took)
	}
	if got := b.events.outcomes(); got != "ping ok, create unknown" {
		t.Error(got)
	}
	if err := l.Engine.Resume(); err != nil {
		t.Fatal(err)
	}
}

func TestWaitingForHealthOutlivesTheEnginesRestart(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Options{Engine: lab.EngineOptions{LiveRestore: true}})
	if err := lab.SampleImages(t.Context(), l.Engine, "1.0"); err != nil {
		t.Fatal(err)
	}
	b := benchAt(t, l.Engine.Host())
	back := make(chan error, 1)
	var once sync.Once
	b.on = func(ev effect.Event) {
		if ev.Type != effect.OpProgress {
			return
		}
		once.Do(func() {
			if err := l.Engine.Kill9(); err != nil {
				t.Error(err)
			}
			go func() { back <- l.Engine.Restart(t.Context()) }()
		})
	}
	got := b.run(`
		docker.create{name = "app", image = "mepc/app:1.0"}
		docker.start("app")
		local h = docker.wait_healthy("app", {http = {port = 8080}, interval = "20ms", successes = 10, deadline = "60s"})
		docker.stop("app", {timeout = 1})
		docker.remove("app")
		return h.probes`)
	// The first one, at which the engine was killed, and ten in a row once it was
	// back.
	if got.(float64) < 11 {
		t.Errorf("%v probes", got)
	}
	if err := <-back; err != nil {
		t.Fatal(err)
	}
	if err := l.Engine.Kill9(); err != nil {
		t.Fatal(err)
	}
	b.fail(failure.Unavailable, `docker.stop("app")`, "no engine at", "systemctl start docker")
}
