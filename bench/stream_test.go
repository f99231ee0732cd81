package bench

import (
	"syscall"
	"testing"

	"github.com/docker/docker/api/types/image"
)

// BenchmarkStream copies an image of 1 GB from engine to engine: by a recipe,
// and by docker save | docker load. The peak is the client's memory, of the pipe
// that of the larger docker.
func BenchmarkStream(b *testing.B) {
	const layers, size = 4, 250 * mega
	const ref = "bench/large:1"
	from, to := ownEngine(b), ownEngine(b)
	mepcRun, r := compile(b, "cmd/mepc-run"), newRunner(b)
	installed(b, "docker")
	target, err := to.Client()
	if err != nil {
		b.Fatal(err)
	}
	defer target.Close()
	buildNoise(b, from, ref, layers, size)

	forget := func() {
		if _, err := target.ImageRemove(b.Context(), ref, image.RemoveOptions{Force: true}); err != nil {
			b.Fatal(err)
		}
		syscall.Sync()
	}
	var recipe, pipe used
	syscall.Sync()
	for round := 0; b.Loop(); round++ {
		turn(round, func() {
			u, _ := r.run(b, mepcRun, "--docker", from.Host(), "testdata/copy.lua", "image="+ref, "to="+to.Host())
			recipe.add(u)
			forget()
		}, func() {
			u, _ := r.run(b, "sh", "-c", `docker -H "$1" save "$3" | docker -H "$2" load`, "sh", from.Host(), to.Host(), ref)
			pipe.add(u)
			forget()
		})
	}
	figures(b, map[string]float64{
		"peak-MB": recipe.peak.max(), "pipe-peak-MB": pipe.peak.max(),
		"MB/s": layers * size / mega / (recipe.wall.median() / 1e3), "cpu-ms": recipe.cpu.median(), "pipe-cpu-ms": pipe.cpu.median(),
		"wall-ratio": recipe.wall.over(pipe.wall).median(), "cpu-ratio": recipe.cpu.over(pipe.cpu).median(),
	})
}
