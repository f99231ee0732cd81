package bench

import "testing"

// BenchmarkStart compares what it takes to start mepc-run and have it print its
// version with a Go program that only says hello, the floor, and with the
// commands that a user would run instead.
func BenchmarkStart(b *testing.B) {
	hello, mepcRun := compile(b, "bench/hello"), compile(b, "cmd/mepc-run")
	docker, redisCLI := installed(b, "docker"), installed(b, "redis-cli")
	r := newRunner(b)

	var ours, floor, dockers, redises used
	start := func(u *used, program string, args ...string) func() {
		return func() { v, _ := r.run(b, program, args...); u.add(v) }
	}
	for round := 0; b.Loop(); round++ {
		turn(round,
			start(&floor, hello),
			start(&ours, mepcRun, "version"),
			start(&dockers, docker, "--version"),
			start(&redises, redisCLI, "--version"),
		)
	}
	figures(b, map[string]float64{
		"hello-ms": floor.wall.median(), "mepc-run-ms": ours.wall.median(),
		"docker-ms": dockers.wall.median(), "redis-cli-ms": redises.wall.median(),
		"of-hello": ours.wall.over(floor.wall).median(), "of-docker": ours.wall.over(dockers.wall).median(),
	})
}
