package bench

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// BenchmarkFanOut brings an image of 200 MB to one engine, and to ten, from an engine
// whose link carries 20 Mbit/s. It is read once, so ten should take as long as one, but
// for what ten engines on one machine do to each other.
func BenchmarkFanOut(b *testing.B) {
	const ref, bandwidth = "bench/fan:1", 2_500_000
	s := &sender{runner: newRunner(b), from: ownEngine(b), mepcRun: compile(b, "cmd/mepc-run")}
	buildNoise(b, s.from, ref, 4, 50*mega)
	link := narrow(b, strings.TrimPrefix(s.from.Host(), "unix://"), bandwidth)
	var hosts []string
	for range 11 {
		hosts = append(hosts, ownEngine(b).Host())
	}
	var one, ten Usage
	for b.Loop() {
		one, _ = s.run(b, s.mepcRun, "--json", "--docker", link, "testdata/ship.lua", "image="+ref, "to="+hosts[0])
		ten, _ = s.run(b, s.mepcRun, "--json", "--docker", link, "testdata/ship.lua", "image="+ref, "to="+strings.Join(hosts[1:], ","))
	}
	figures(b, map[string]float64{
		"one-ms": float64(one.Wall.Milliseconds()), "ten-ms": float64(ten.Wall.Milliseconds()), "wall-ratio": float64(ten.Wall) / float64(one.Wall),
		"one-peak-MB": float64(one.Peak) / mega, "ten-peak-MB": float64(ten.Peak) / mega,
	})
}

// narrow returns an address at which a socket's answers come at a given number of bytes a
// second.
func narrow(b *testing.B, socket string, bandwidth int) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			engine, err := new(net.Dialer).DialContext(context.Background(), "unix", socket)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() { _, _ = io.Copy(engine, client); _ = engine.Close() }()
			go func() { trickle(client, engine, bandwidth); _ = client.Close() }()
		}
	}()
	return "tcp://" + l.Addr().String()
}

// trickle copies at a given number of bytes a second.
func trickle(w io.Writer, r io.Reader, bandwidth int) {
	const tick = 10 * time.Millisecond
	buf := make([]byte, bandwidth/100)
	next := time.Now()
	for {
		n, err := io.ReadAtLeast(r, buf, 1)
		if _, werr := w.Write(buf[:n]); err != nil || werr != nil {
			return
		}
		next = next.Add(tick * time.Duration(n) / time.Duration(len(buf)))
		if now := time.Now(); next.Before(now) {
			next = now
		}
		time.Sleep(time.Until(next))
	}
}
