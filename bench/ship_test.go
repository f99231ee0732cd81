package bench

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/lab"
)

// changed is the new part of an image of 200 MB.
const changed = 8 * mega

// sender is two engines, and an application that is to get from the one to the other.
type sender struct {
	*runner
	from, to *lab.Engine
	target   *client.Client
	socket   string // of to
	app      *application
	mepcRun  string
	version  int64
}

func newSender(b *testing.B, base int64) *sender {
	b.Helper()
	s := &sender{runner: newRunner(b), from: ownEngine(b), to: ownEngine(b), app: newApplication(b, base), mepcRun: compile(b, "cmd/mepc-run")}
	for _, program := range []string{"docker", "curl"} {
		installed(b, program)
	}
	var err error
	if s.target, err = s.to.Client(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.target.Close() })
	s.socket = strings.TrimPrefix(s.to.Host(), "unix://")
	return s
}

// next makes the application's next version, and names its image.
func (s *sender) next(b *testing.B) string {
	b.Helper()
	s.version++
	s.app.change(b, s.version, changed)
	return fmt.Sprintf("bench/sent:%d", s.version)
}

// build builds the next version's image.
func (s *sender) build(b *testing.B) string {
	b.Helper()
	ref := s.next(b)
	s.run(b, "sh", "-c", `DOCKER_BUILDKIT=0 docker -H "$1" build -q -t "$2" "$3"`, "sh", s.from.Host(), ref, s.app.dir)
	syscall.Sync()
	return ref
}

// ship ships an image, and returns what testdata/ship.lua does.
func (s *sender) ship(b *testing.B, ref, via string) (u Usage, out shipment) {
	b.Helper()
	u, text := s.run(b, s.mepcRun, "--json", "--docker", s.from.Host(), "testdata/ship.lua", "image="+ref, "to="+s.to.Host(), "via="+via)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	result := struct{ Value *shipment }{&out}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &result); err != nil {
		b.Fatal(err)
	}
	return u, out
}

// shipment is the result of testdata/ship.lua.
type shipment struct {
	Bytes  float64
	Beyond float64 // the ms that it took beyond an inspect at both ends
}

// redeploy ships a new version, and then once more, where it is already.
func (s *sender) redeploy(b *testing.B, first, again *used) (sent, nothing shipment) {
	b.Helper()
	ref := s.build(b)
	u, sent := s.ship(b, ref, "auto")
	first.add(u)
	u, nothing = s.ship(b, ref, "auto")
	again.add(u)
	s.forget(b, ref)
	return sent, nothing
}

func (s *sender) forget(b *testing.B, ref string) {
	b.Helper()
	if _, err := s.target.ImageRemove(b.Context(), ref, image.RemoveOptions{Force: true}); err != nil {
		b.Fatal(err)
	}
	syscall.Sync()
}

// BenchmarkShip brings a version of an image of 200 MB, of which 8 MB are new, to an
// engine that has the one before: by docker.ship, and by docker save into curl to
// /images/load, as the talk did. Then it is shipped again, where it is already.
func BenchmarkShip(b *testing.B) {
	s := newSender(b, 192*mega)
	s.ship(b, s.build(b), "auto") // the version before
	s.ship(b, s.build(b), "auto") // whose layers the source has then compressed
	var ships, pipes, again used
	var bytes sample
	syscall.Sync()
	for round := 0; b.Loop(); round++ {
		turn(round, func() {
			out, _ := s.redeploy(b, &ships, &again)
			bytes.add(out.Bytes)
		}, func() {
			ref := s.build(b)
			u, _ := s.run(b, "sh", "-c", `docker -H "$1" save "$3" | curl -sf --unix-socket "$2" -H "Content-Type: application/x-tar" -T - -X POST http://docker/images/load`,
				"sh", s.from.Host(), s.socket, ref)
			pipes.add(u)
			s.forget(b, ref)
		})
	}
	figures(b, map[string]float64{
		"wall-ratio": ships.wall.over(pipes.wall).median(), "ship-ms": ships.wall.median(), "pipe-ms": pipes.wall.median(),
		"bytes-ratio": bytes.median() / changed, "peak-MB": ships.peak.max(), "again-ms": again.wall.median(),
	})
}
