//go:build !linux

package router

import (
	"context"
	"errors"
	"net"
)

// Elsewhere a router cannot take over from another.
type before struct{}

func (r *Router) find(context.Context) (*before, error) {
	return nil, errors.New("a router takes over from another on Linux only")
}

func (r *Router) offer([]net.Listener) {}
func (*before) stop() error            { return nil }
func (*before) leave()                 {}
func (*before) end(context.Context)    {}
