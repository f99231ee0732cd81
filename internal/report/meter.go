package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/say"
)

// meter follows how fast a streaming call comes on. The zero value is ready.
type meter struct {
	at      time.Time // of the last sample
	current int64     // then
	speed   decor.Decorator
	left    decor.Decorator
	moved   bool // bytes were seen to pass
}

// samples is the number of them that the moving averages cover: three seconds of
// frames.
const samples = 30

// sample tells the meter how far the call has come at now.
func (m *meter) sample(now time.Time, current int64) {
	n, dur := current-m.current, now.Sub(m.at)
	if m.at.IsZero() || n < 0 { // the first, or the next of several parts began
		*m = meter{
			at: now, current: current,
			speed: decor.EwmaSpeed(decor.SizeB1000(0), "% .1f", samples),
			left:  decor.EwmaETA(decor.ET_STYLE_GO, samples),
		}
		return
	}
	if dur <= 0 {
		return
	}
	m.at, m.current = now, current
	m.moved = m.moved || n > 0
	m.speed.(decor.EwmaDecorator).EwmaUpdate(n, dur)
	m.left.(decor.EwmaDecorator).EwmaUpdate(n, dur)
}

// rate returns "52.3 MB/s", or "" while there is nothing to tell.
func (m *meter) rate() string {
	if !m.moved {
		return ""
	}
	s, _ := m.speed.Decor(decor.Statistics{})
	return s
}

// remaining returns "12s left", or "" where that is not known.
func (m *meter) remaining(p *effect.Progress) string {
	if !m.moved || p.Total <= p.Current {
		return ""
	}
	s, _ := m.left.Decor(decor.Statistics{Total: p.Total, Current: p.Current})
	if s == "0s" {
		s = "<1s"
	}
	return s + " left"
}

// amount returns "120.0 MB of 209.0 MB", or the bytes done alone.
func amount(p *effect.Progress) string {
	if p.Total <= 0 {
		return fmt.Sprintf("% .1f", decor.SizeB1000(p.Current))
	}
	return fmt.Sprintf("% .1f of % .1f", decor.SizeB1000(p.Current), decor.SizeB1000(p.Total))
}

// percent returns "57%", or "" when the total is not known.
func percent(p *effect.Progress) string {
	if p.Total <= 0 {
		return ""
	}
	return fmt.Sprintf("%d%%", int64(100*min(1, float64(p.Current)/float64(p.Total))))
}

// counts reports whether there are bytes to show, not only a text.
func counts(p *effect.Progress) bool { return p != nil && (p.Current > 0 || p.Total > 0) }

// numbers returns the figures about p's bytes, the most telling first.
func (m *meter) numbers(p *effect.Progress) []string {
	return say.NonEmpty(percent(p), amount(p), m.rate(), m.remaining(p))
}

// overall returns the same by the average of the whole call, for who looks too
// seldom for a moving one.
func overall(p *effect.Progress, elapsed time.Duration) []string {
	speed := decor.SizeB1000(float64(p.Current) / elapsed.Seconds())
	return say.NonEmpty(percent(p), amount(p), fmt.Sprintf("% .1f", decor.FmtAsSpeed(speed)))
}

// barWidth is the width of a bar where there is room.
const barWidth = 28

// bar returns a bar and as many of the numbers as fit into width columns. The
// numbers are worth more than the bar: it gives way first.
func (m *meter) bar(p *effect.Progress, width int, ascii bool) string {
	numbers := m.numbers(p)
	text := strings.Join(numbers, "  ")
	for len(numbers) > 1 && cells(text) > width {
		numbers = numbers[:len(numbers)-1]
		text = strings.Join(numbers, "  ")
	}
	room := min(barWidth, width-cells(text)-2)
	room -= room % 4 // it should not change with each digit of the numbers
	if p.Total <= 0 || room < 8 {
		return text
	}
	style := mpb.BarStyle().Lbound("").Rbound("").Filler("━").Tip("━").Padding("─")
	if ascii {
		style = mpb.BarStyle()
	}
	var b strings.Builder
	_ = style.Build().Fill(&b, decor.Statistics{AvailableWidth: room, Total: p.Total, Current: min(p.Current, p.Total)})
	return b.String() + "  " + text
}
