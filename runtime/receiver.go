package runtime

import (
	"reflect"

	"github.com/mepc/mepc-run/internal/failure"
)

// Receiver is the Module.Self of functions that act on the world which a run is
// given: it makes what they get, once for each run that calls one of them. So one
// Host serves runs in many worlds, also at the same time.
type Receiver struct {
	self reflect.Type
	make func(world any) (any, bool)
}

// PerRun returns the Receiver that f makes of RunOptions.World.
func PerRun[W, S any](f func(world W) S) *Receiver {
	return &Receiver{self: reflect.TypeFor[S](), make: func(world any) (any, bool) {
		w, ok := world.(W)
		if !ok {
			return nil, false
		}
		return f(w), true
	}}
}

// Receiver returns the type of what the functions of m get.
func (m *Module) Receiver() reflect.Type {
	if r, ok := m.Self.(*Receiver); ok {
		return r.self
	}
	return reflect.TypeOf(m.Self)
}

// self returns what the functions of m get in this run. It is called with the
// baton held.
func (r *Run) self(m *boundModule) (any, error) {
	receiver, ok := m.Self.(*Receiver)
	if !ok {
		return m.Self, nil
	}
	if self := r.selves[m]; self != nil {
		return self, nil
	}
	self, ok := receiver.make(r.opts.World)
	if !ok {
		return nil, failure.New(failure.Internal, "the module %s cannot work with a world of type %T", m.Name, r.opts.World)
	}
	r.selves[m] = self
	return self, nil
}
