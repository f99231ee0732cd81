package docker_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/lab"
	"github.com/mepc/mepc-run/modules/docker"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// packed reports whether the lab's engines keep layers compressed.
func packed() bool { return os.Getenv("MEPC_TEST_ENGINE_STORE") == "containerd" }

// modern reports whether they are newer than Debian's.
func modern() bool { return os.Getenv("MEPC_TEST_ENGINE_BIN") != "" }

// bench runs recipes against one engine.
type bench struct {
	t      *testing.T
	opts   servers.Options
	allow  docker.Allow
	params map[string]any
	world  *servers.Clients // nil: the real one at opts
	// timeout bounds the run; 0 is two minutes.
	timeout time.Duration
	on      func(effect.Event) // sees a run's events as they come
	events  *recorder          // of the last run
	lab     *lab.Lab           // nil for an engine that is not the lab's
}

// samples are on the shared engine once a test has asked for them.
var samples struct {
	once sync.Once
	err  error
}

// labBench returns a bench on the shared engine, which has the sample images.
func labBench(t *testing.T) *bench {
	t.Helper()
	l := lab.ForTest(t)
	samples.once.Do(func() {
		samples.err = lab.SampleImages(context.WithoutCancel(t.Context()), l.Engine, "1.0", "1.1")
	})
	if samples.err != nil {
		t.Fatal(samples.err)
	}
	b := benchAt(t, l.Engine.Host())
	b.lab = l
	return b
}

func benchAt(t *testing.T, host string) *bench {
	t.Helper()
	return &bench{t: t, opts: servers.Options{Docker: servers.DockerEndpoint{Host: host}}, params: map[string]any{}}
}

// name returns a container name of this test's own, whose container is removed
// at the end.
func (b *bench) name(prefix string) string {
	b.t.Helper()
	name := b.lab.Name(prefix)
	b.t.Cleanup(func() {
		cli, err := b.lab.Engine.Client()
		if err != nil {
			b.t.Error(err)
			return
		}
		defer cli.Close()
		_ = cli.ContainerRemove(context.Background(), name, forceRemove)
	})
	b.params[prefix] = name
	return name
}

// recorder keeps a run's events, and shows each to on, while the run waits.
type recorder struct {
	on func(effect.Event)

	mu  sync.Mutex
	all []effect.Event
}

func (r *recorder) Event(ev effect.Event) {
	r.mu.Lock()
	r.all = append(r.all, ev)
	r.mu.Unlock()
	if r.on != nil {
		r.on(ev)
	}
}

func (r *recorder) ends() []effect.Event {
	var out []effect.Event
	for _, ev := range r.all {
		if ev.Type == effect.OpEnd {
			out = append(out, ev)
		}
	}
	return out
}

// outcomes returns "function outcome" for each call.
func (r *recorder) outcomes() string {
	var out []string
	for _, ev := range r.ends() {
		out = append(out, strings.TrimPrefix(ev.Op.Name, "docker.")+" "+string(ev.Result.Outcome))
	}
	return strings.Join(out, ", ")
}

// try runs source, in which the strings of b.params are globals' fields: P.app.
func (b *bench) try(source string) (any, *failure.Error) {
	b.t.Helper()
	w := b.world
	if w == nil {
		w = servers.Live(b.opts)
		defer w.Close()
	}
	host := runtime.New(runtime.Options{Modules: []runtime.Module{docker.New(b.allow)}})
	var p strings.Builder
	p.WriteString("local P = {")
	for k, v := range b.params {
		p.WriteString(k + " = [==[" + v.(string) + "]==], ")
	}
	p.WriteString("} ")
	recipe, err := host.LoadString("test.lua", p.String()+source)
	if err != nil {
		b.t.Fatal(err)
	}
	b.events = &recorder{on: b.on}
	ctx, cancel := context.WithTimeout(b.t.Context(), 2*time.Minute)
	defer cancel()
	res, err := host.Run(ctx, recipe, runtime.RunOptions{World: w, Clock: w.Clock(), Sinks: []runtime.Sink{b.events}, Timeout: b.timeout})
	if err != nil {
		f := failure.As(err)
		if f == nil {
			b.t.Fatalf("not a failure: %v", err)
		}
		return nil, f
	}
	return res.Value, nil
}

// run is try for a recipe that must succeed.
func (b *bench) run(source string) any {
	b.t.Helper()
	v, err := b.try(source)
	if err != nil {
		b.t.Fatalf("%s\n%s\nhint: %s\nstate: %s\n%s", source, err, err.Hint, err.State, err.Details)
	}
	return v
}

// fail runs a recipe that must fail with kind, and with each text in the
// error's message, hint, state or details.
func (b *bench) fail(kind failure.Kind, source string, texts ...string) *failure.Error {
	b.t.Helper()
	v, err := b.try(source)
	if err == nil {
		b.t.Fatalf("%s\nreturned %v, want an error of kind %s", source, v, kind)
	}
	wantError(b.t, err, kind, texts...)
	return err
}

func wantError(t *testing.T, err *failure.Error, kind failure.Kind, texts ...string) {
	t.Helper()
	if err.Kind != kind {
		t.Errorf("kind %s, want %s: %s", err.Kind, kind, err)
	}
	whole := strings.Join([]string{err.Error(), err.Hint, err.State, err.Details}, "\n")
	for _, text := range texts {
		if !strings.Contains(whole, text) {
			t.Errorf("error lacks %q:\n%s", text, whole)
		}
	}
}
