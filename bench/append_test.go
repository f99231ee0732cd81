package bench

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// BenchmarkAppend brings 8 MB of new files onto an image of 200 MB that an engine has:
// by docker.append, and by docker build, docker save and curl to /images/load, as the
// talk did.
func BenchmarkAppend(b *testing.B) {
	s := newSender(b, 192*mega)
	const talk = `DOCKER_BUILDKIT=0 docker -H "$1" build -q -t "$3" "$4" && docker -H "$1" save "$3" > "$5" &&
		curl -sf --unix-socket "$2" -H "Content-Type: application/x-tar" -T "$5" -X POST http://docker/images/load`
	tar := filepath.Join(b.TempDir(), "app.tar")
	byTalk := func() (string, Usage) {
		ref := s.next(b)
		syscall.Sync()
		u, _ := s.run(b, "sh", "-c", talk, "sh", s.from.Host(), s.socket, ref, s.app.dir, tar)
		return ref, u
	}
	base, _ := byTalk()
	var appends, talks used
	for round := 0; b.Loop(); round++ {
		turn(round, func() {
			dir := b.TempDir()
			data := make([]byte, changed)
			_, _ = rand.Read(data) // never fails
			if err := os.WriteFile(filepath.Join(dir, "data"), data, 0o644); err != nil {
				b.Fatal(err)
			}
			syscall.Sync()
			ref := fmt.Sprintf("bench/append:a%d", round)
			u, _ := s.run(b, s.mepcRun, "--docker", s.to.Host(), "testdata/append.lua", "image="+ref, "base="+base, "add="+dir)
			appends.add(u)
			s.forget(b, ref)
		}, func() {
			ref, u := byTalk()
			talks.add(u)
			s.forget(b, ref)
		})
	}
	figures(b, map[string]float64{
		"wall-ratio": appends.wall.over(talks.wall).median(), "append-ms": appends.wall.median(), "talk-ms": talks.wall.median(),
		"peak-MB": appends.peak.max(),
	})
}
