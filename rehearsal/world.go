package rehearsal

import (
	"context"
	"io"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/servers"
)

// World is what is true when a rehearsal begins: what is on engines and in Redis. A
// rehearsal changes a copy of it, so that one World serves any number of them.
type World struct {
	source string
	state  *state.State
	live   *rehearsal.Live // nil: it is not read from servers
}

// Empty returns a world of one engine with nothing on it, and an empty Redis.
func Empty() *World {
	return &World{source: "empty", state: &state.State{Format: state.Format, Source: "empty"}}
}

// maxWorld is how large a world file may be, in bytes.
const maxWorld = 64 << 20

// ReadWorld reads a world file, as mepc-run world snapshot and World.Encode write it.
// name is what plans call it.
func ReadWorld(r io.Reader, name string) (*World, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxWorld+1))
	switch {
	case err != nil:
		return nil, failure.Wrap(failure.Invalid, failure.Innermost(err), "the world file %s", name)
	case len(data) > maxWorld:
		return nil, failure.New(failure.Invalid, "the world file %s is larger than 64 MiB", name)
	}
	s, err := state.Decode(data)
	if err != nil {
		return nil, failure.New(failure.Invalid, "the world file %s: %s", name, err)
	}
	return &World{source: name, state: s}, nil
}

// Snapshot reads a world from real servers, by reads alone; values that may be secrets
// are left out. It must be closed: a rehearsal that asks for more, such as a second
// engine, reads that, too.
func Snapshot(ctx context.Context, opts servers.Options) (*World, error) {
	w := &World{source: plan.Live, live: rehearsal.NewLive(opts)}
	var err error
	if w.state, err = w.live.Take(ctx); err != nil {
		w.live.Close()
		return nil, err
	}
	return w, nil
}

// Close ends the connections of a Snapshot. On any other World it does nothing.
func (w *World) Close() {
	if w.live != nil {
		w.live.Close()
	}
}

// Encode returns the world as a file.
func (w *World) Encode() ([]byte, error) {
	st := *w.state
	if w.live != nil {
		if w.live.Trouble != nil {
			return nil, w.live.Trouble
		}
		st.Source = "snapshot of " + w.live.Engines()[0] + " and " + w.live.Redis + "; values that may be secrets are hidden"
	}
	return st.Encode()
}

// Servers returns the names of the engines and of the Redis that a Snapshot was read
// from.
func (w *World) Servers() (engines []string, redis string) {
	if w.live == nil {
		return nil, ""
	}
	return w.live.Engines(), w.live.Redis
}

// Changed returns, in a line each, what is different in w from what p rests on; none:
// the plan is not stale.
func (w *World) Changed(p *Plan) []string { return plan.Stale(p, w.state) }
