package docker

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
)

// meter shows a call's progress, at most ten times a second.
type meter struct {
	ctx   context.Context
	clock clock.Clock

	mu     sync.Mutex
	now    effect.Progress
	shown  time.Time
	layers map[string][2]int64 // bytes done and in all, of each layer
}

func (e *Engine) meter(ctx context.Context, total int64) *meter {
	return &meter{ctx: ctx, clock: e.world.Clock(), now: effect.Progress{Total: total}, layers: map[string][2]int64{}}
}

// text shows what is being done now, at once.
func (m *meter) text(s string) {
	s = strings.TrimSpace(s)
	m.mu.Lock()
	defer m.mu.Unlock()
	if s == "" || s == m.now.Text {
		return
	}
	m.now.Text = s
	m.show(true)
}

// expect says how many bytes there will be, from now on.
func (m *meter) expect(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = effect.Progress{Total: n}
}

// Write counts what passes by.
func (m *meter) Write(p []byte) (int, error) {
	m.add(len(p))
	return len(p), nil
}

// add counts n more bytes.
func (m *meter) add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.Current += int64(n)
	m.show(false)
}

// layer takes a pull's or push's account of one layer. Layers become known one
// by one, so the total grows for a while.
func (m *meter) layer(msg *message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if msg.ID == "" || msg.Progress.Total <= 0 || (msg.Status != "Downloading" && msg.Status != "Pushing") {
		return
	}
	was := m.layers[msg.ID]
	m.layers[msg.ID] = [2]int64{msg.Progress.Current, msg.Progress.Total}
	m.now.Current += msg.Progress.Current - was[0]
	m.now.Total += msg.Progress.Total - was[1]
	m.now.Text = msg.Status
	m.show(false)
}

func (m *meter) show(always bool) {
	now := m.clock.Now()
	if !always && now.Sub(m.shown) < 100*time.Millisecond {
		return
	}
	m.shown = now
	effect.Report(m.ctx, m.now)
}

// bytes returns how many were counted.
func (m *meter) bytes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now.Current
}
