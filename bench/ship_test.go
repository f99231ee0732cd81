package bench

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/docker/docker/api/types/image"
)

// BenchmarkShip brings a version of an image of 200 MB, of which 8 MB are new, to an
// engine that has the one before: by docker.ship, and by docker save into curl to
// /images/load, as the talk did. Then it is shipped again, where it is already.
func BenchmarkShip(b *testing.B) {
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
	socket := strings.TrimPrefix(to.Host(), "unix://")
	version := int64(0)
	build := func() string {
		version++
		app.change(b, version, changed)
		ref := fmt.Sprintf("bench/ship:%d", version)
		r.run(b, "sh", "-c", `DOCKER_BUILDKIT=0 docker -H "$1" build -q -t "$2" "$3"`, "sh", from.Host(), ref, app.dir)
		return ref
	}
	forget := func(ref string) {
		if _, err := target.ImageRemove(b.Context(), ref, image.RemoveOptions{Force: true}); err != nil {
			b.Fatal(err)
		}
		syscall.Sync()
	}
	ship := func(ref string) (Usage, float64) {
		u, out := r.run(b, mepcRun, "--json", "--docker", from.Host(), "testdata/ship.lua", "image="+ref, "to="+to.Host())
		lines := strings.Split(strings.TrimSpace(out), "\n")
		var result struct{ Value struct{ Bytes float64 } }
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &result); err != nil {
			b.Fatal(err)
		}
		return u, result.Value.Bytes
	}
	ship(build()) // the version before
	var ships, pipes, again used
	var bytes sample
	syscall.Sync()
	for round := 0; b.Loop(); round++ {
		turn(round, func() {
			ref := build()
			syscall.Sync()
			u, n := ship(ref)
			ships.add(u)
			bytes.add(n)
			u, _ = ship(ref)
			again.add(u)
			forget(ref)
		}, func() {
			ref := build()
			syscall.Sync()
			u, _ := r.run(b, "sh", "-c", `docker -H "$1" save "$3" | curl -sf --unix-socket "$2" -H "Content-Type: application/x-tar" -T - -X POST http://docker/images/load`,
				"sh", from.Host(), socket, ref)
			pipes.add(u)
			forget(ref)
		})
	}
	figures(b, map[string]float64{
		"wall-ratio": ships.wall.over(pipes.wall).median(), "ship-ms": ships.wall.median(), "pipe-ms": pipes.wall.median(),
		"bytes-ratio": bytes.median() / changed, "peak-MB": ships.peak.max(), "again-ms": again.wall.median(),
	})
}
