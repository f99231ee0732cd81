package bench

import (
	"path/filepath"
	"testing"
)

// BenchmarkReship brings a version of an image of 1 GB, of which 8 MB are new, to an
// engine that has the one before: as the talk did, by docker save to a file and curl
// to /images/load; by docker.ship of what the source saves, without the layers that
// are there; and by docker.ship of what the source pushes. The first push, for which
// the source compresses the whole image once, counts by itself.
func BenchmarkReship(b *testing.B) {
	s := newSender(b, 992*mega)
	seed, _ := s.ship(b, s.build(b), "auto")
	first, _ := s.ship(b, s.build(b), "auto")
	tar := filepath.Join(b.TempDir(), "app.tar")
	var talks, saves, pushes, again used
	var bytes, beyond sample
	for round := 0; b.Loop(); round++ {
		turn(round, func() {
			out, nothing := s.redeploy(b, &pushes, &again)
			bytes.add(out.Bytes)
			beyond.add(nothing.Beyond)
		}, func() {
			ref := s.build(b)
			u, _ := s.ship(b, ref, "save")
			saves.add(u)
			s.forget(b, ref)
		}, func() {
			ref := s.build(b)
			u, _ := s.run(b, "sh", "-c", `docker -H "$1" save "$3" >"$4" && curl -sf --unix-socket "$2" -H "Content-Type: application/x-tar" --data-binary "@$4" http://docker/images/load`,
				"sh", s.from.Host(), s.socket, ref, tar)
			talks.add(u)
			s.forget(b, ref)
		})
	}
	figures(b, map[string]float64{
		"seed-ms": float64(seed.Wall) / 1e6, "first-push-ms": float64(first.Wall) / 1e6, "first-push-peak-MB": float64(first.Peak) / mega,
		"seed-peak-MB": float64(seed.Peak) / mega, "push-ms": pushes.wall.median(), "save-ms": saves.wall.median(), "talk-ms": talks.wall.median(),
		"talk-ratio": pushes.wall.over(talks.wall).median(), "save-ratio": pushes.wall.over(saves.wall).median(),
		"bytes-ratio": bytes.median() / changed, "peak-MB": pushes.peak.max(), "again-ms": again.wall.median(), "again-beyond-ms": beyond.median(),
	})
}
