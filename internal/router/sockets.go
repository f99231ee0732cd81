package router

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
)

// How one router follows another on the same addresses without refusing anybody:
// what connects is in the queue of a listening socket, which ends with the last
// process that has it.
//
//   - systemd keeps the sockets and hands them to each router (Config.Inherited).
//   - A router that is told to (Config.TakeOver) asks the one before it, in handover.go,
//     for its sockets, and serves when that one says that it is stopping.

// open returns a listener on addr: one that was handed over with its port, or a new
// one; nil for none.
func (r *Router) open(ctx context.Context, name, addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	if l := r.inherited(addr); l != nil {
		return l, nil
	}
	config := net.ListenConfig{}
	l, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", name, err)
	}
	return l, nil
}

// inherited takes the listener with addr's port out of those that were handed over.
func (r *Router) inherited(addr string) net.Listener {
	i := slices.IndexFunc(r.cfg.Inherited, func(l net.Listener) bool {
		tcp, ok := l.Addr().(*net.TCPAddr)
		return ok && tcp.Port == portOf(addr)
	})
	if i < 0 {
		return nil
	}
	l := r.cfg.Inherited[i]
	r.cfg.Inherited = slices.Delete(slices.Clone(r.cfg.Inherited), i, i+1)
	return l
}

// portOf returns the port of host:port, 0 when there is none.
func portOf(addr string) int {
	_, name, err := net.SplitHostPort(addr)
	if err != nil {
		return 0
	}
	port, err := net.LookupPort("tcp", name)
	if err != nil {
		return 0
	}
	return port
}

// public is a server and what connects to it.
type public struct {
	srv  *http.Server
	l    net.Listener  // nil when there is no such address
	done chan struct{} // closed when nothing is accepted any more

	mu    sync.Mutex
	fresh map[net.Conn]bool // true until a connection has brought a request
	calm  chan struct{}     // closed when nobody is in fresh, and someone waits
}

// newPublic has srv count the connections that are in a request or may be about to.
func newPublic(srv *http.Server) *public {
	p := &public{srv: srv, done: make(chan struct{}), fresh: make(map[net.Conn]bool)}
	srv.ConnState = func(c net.Conn, s http.ConnState) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch s {
		case http.StateNew, http.StateActive:
			p.fresh[c] = s == http.StateNew
		default:
			if delete(p.fresh, c); len(p.fresh) == 0 && p.calm != nil {
				close(p.calm)
				p.calm = nil
			}
		}
	}
	return p
}

// serve accepts until the listener is closed.
func (p *public) serve() error {
	defer close(p.done)
	var err error
	if p.srv.TLSConfig != nil {
		err = p.srv.ServeTLS(keep{p.l}, "", "")
	} else {
		err = p.srv.Serve(keep{p.l})
	}
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// keep leaves it to drain when the listener is closed.
type keep struct{ net.Listener }

func (keep) Close() error { return nil }

// close stops accepting.
func (p *public) close() {
	if p.l != nil {
		_ = p.l.Close()
		<-p.done
	}
}

// drain stops accepting and waits until no connection is in a request. One without a
// request so far is waited for until patience ends. http.Server.Shutdown alone would
// drop requests that it has just read.
func (p *public) drain(ctx, patience context.Context) {
	p.close()
	for {
		p.mu.Lock()
		left := 0
		for _, fresh := range p.fresh {
			if !fresh || patience.Err() == nil {
				left++
			}
		}
		if left == 0 {
			p.mu.Unlock()
			return
		}
		if p.calm == nil {
			p.calm = make(chan struct{})
		}
		calm, given := p.calm, patience.Done()
		if patience.Err() != nil {
			given = nil
		}
		p.mu.Unlock()
		select {
		case <-calm:
		case <-given:
		case <-ctx.Done():
			return
		}
	}
}
