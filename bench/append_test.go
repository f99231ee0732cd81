package bench

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/docker/docker/api/types/image"
)

// BenchmarkAppend brings 8 MB of new files onto an image of 200 MB that an engine has:
// by docker.append, and by docker build, docker save and curl to /images/load, as the
// talk did.
func BenchmarkAppend(b *testing.B) {
	const changed = 8 * mega
	from, to := ownEngine(b), ownEngine(b)
	app, mepcRun, r := newApplication(b, 192*mega), compile(b, "cmd/mepc-run"), newRunner(b)
	for _, program := range []string{"docker", "curl"} {
		installed(b, program)
	}
	target, err := to.Client()
	if err != nil {
		b.Fatal(err)
	}
	defer target.Close()
	const talk = `DOCKER_BUILDKIT=0 docker -H "$1" build -q -t "$3" "$4" && docker -H "$1" save "$3" > "$5" &&
		curl -sf --unix-socket "$2" -H "Content-Type: application/x-tar" -T "$5" -X POST http://docker/images/load`
	version, tar := int64(0), filepath.Join(b.TempDir(), "app.tar")
	byTalk := func() (string, Usage) {
		version++
		app.change(b, version, changed)
		ref := fmt.Sprintf("bench/append:%d", version)
		syscall.Sync()
		u, _ := r.run(b, "sh", "-c", talk, "sh", from.Host(), strings.TrimPrefix(to.Host(), "unix://"), ref, app.dir, tar)
		return ref, u
	}
	base, _ := byTalk()
	var appends, talks used
	for round := 0; b.Loop(); round++ {
		forget := func(ref string) {
			if _, err := target.ImageRemove(b.Context(), ref, image.RemoveOptions{Force: true}); err != nil {
				b.Fatal(err)
			}
		}
		turn(round, func() {
			dir := b.TempDir()
			data := make([]byte, changed)
			_, _ = rand.Read(data) // never fails
			if err := os.WriteFile(filepath.Join(dir, "data"), data, 0o644); err != nil {
				b.Fatal(err)
			}
			syscall.Sync()
			ref := fmt.Sprintf("bench/append:a%d", round)
			u, _ := r.run(b, mepcRun, "--docker", to.Host(), "testdata/append.lua", "image="+ref, "base="+base, "add="+dir)
			appends.add(u)
			forget(ref)
		}, func() {
			ref, u := byTalk()
			talks.add(u)
			forget(ref)
		})
	}
	figures(b, map[string]float64{
		"wall-ratio": appends.wall.over(talks.wall).median(), "append-ms": appends.wall.median(), "talk-ms": talks.wall.median(),
		"peak-MB": appends.peak.max(),
	})
}
