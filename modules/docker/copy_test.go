package docker_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/lab"
)

// target starts a second engine and sets P.to to its URL.
func target(t *testing.T, b *bench) *lab.Engine {
	t.Helper()
	to, err := lab.StartEngine(t.Context(), lab.EngineOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := to.Stop(); err != nil {
			t.Error(err)
		}
	})
	b.params["to"] = to.Host()
	return to
}

func TestAnImageIsCopiedToAnotherEngineOnce(t *testing.T) {
	b := labBench(t)
	to := target(t, b)
	got := b.run(`
		local to = docker.connect(P.to)
		local first = docker.copy_image("mepc/app:1.0", {to = to})
		local again = docker.copy_image("mepc/app:1.0", {to = to})
		local id = docker.image("mepc/app:1.0").id
		docker.tag("mepc/app:1.0", "mepc/app:other")
		local other = docker.copy_image("mepc/app:other", {to = to})
		local by_id = docker.copy_image(id, {to = to})
		docker.remove_image("mepc/app:other")
		to:create{name = "runs", image = "mepc/app:other"}
		return {first = first.id == id, again = again.id == id, other = other.id == id, by_id = by_id.id == id, tags = #other.tags,
			engine = tostring(to) == P.to, back = to:copy_image("mepc/app:1.0", {to = docker.connect()}).id == id}`)
	want := map[string]any{"first": true, "again": true, "other": true, "by_id": true, "tags": 2.0, "engine": true, "back": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	want2 := "connect ok, copy_image ok, copy_image unchanged, image ok, tag ok, copy_image ok, copy_image unchanged, remove_image ok, create ok, connect ok, copy_image unchanged"
	if diff := cmp.Diff(want2, b.events.outcomes()); diff != "" {
		t.Errorf("outcomes (-want +got)\n%s", diff)
	}
	for _, ev := range b.events.ends() {
		if ev.Op.Name == "docker.create" && ev.Op.Endpoint != to.Host() {
			t.Errorf("create was shown at %s", ev.Op.Endpoint)
		}
	}
	b.fail(failure.NotFound, `docker.copy_image("mepc/none:1", {to = docker.connect(P.to)})`, "No such image: mepc/none:1")
	b.fail(failure.Invalid, `docker.copy_image("mepc/app:1.0", {to = P.to})`, "to: docker.engine expected, got string")
}

func TestCopyKeepsMemoryFlat(t *testing.T) {
	b := labBench(t)
	target(t, b)
	const size = 120 << 20
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "big"))
	if err != nil {
		t.Fatal(err)
	}
	block, noise := make([]byte, 1<<20), rand.NewChaCha8([32]byte{})
	for range size / len(block) {
		_, _ = noise.Read(block) // never fails
		if _, err := f.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY big /\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.params["dir"] = dir
	b.run(`docker.build{context = P.dir, tag = "mepc/big:1"}`)
	defer b.run(`docker.remove_image("mepc/big:1", {missing_ok = true})`)

	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	ctx, stop := context.WithCancel(t.Context())
	peak := make(chan uint64)
	go func() {
		var most uint64
		for ctx.Err() == nil {
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
			wait(ctx, 5*time.Millisecond)
		}
		peak <- most
	}()
	got := b.run(`return docker.copy_image("mepc/big:1", {to = docker.connect(P.to)}).size`)
	stop()
	growth := int64(<-peak) - int64(before.HeapAlloc)
	t.Logf("heap grew by %d KiB for an image of %.0f MiB", growth>>10, got.(float64)/(1<<20))
	if got.(float64) < size {
		t.Errorf("the image has %.0f bytes", got)
	}
	if growth > 16<<20 {
		t.Errorf("the heap grew by %d MiB", growth>>20)
	}
	copied := b.events
	var most int64
	for _, ev := range copied.all {
		if ev.Progress != nil {
			most = max(most, ev.Progress.Current)
		}
	}
	if most < size/2 {
		t.Errorf("progress came to %d bytes", most)
	}
	if note := copied.ends()[1].Result.Summary; !strings.Contains(note, "MB") {
		t.Errorf("note %q", note)
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
