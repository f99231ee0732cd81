package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
)

// sweepEvery is the interval at which the table forgets what is long gone.
const sweepEvery = time.Minute

// Router is one router. It runs once.
type Router struct {
	cfg    Config
	table  *table
	reader *reader
	proxy  *proxy
	bg     workers
	checks *checker
	certs  *certificates

	// life is the context of everything that must outlive a request: it ends
	// when the last request is done.
	life    context.Context
	endLife context.CancelFunc

	ready    chan struct{}
	settled  chan struct{} // closed when the admin address is ours
	stopping chan struct{}

	followed chan struct{}  // closed when a follower is ready to serve
	follower io.WriteCloser // to it, from then on

	mu                 sync.Mutex
	addr, tls, adminAt net.Addr
}

// New checks cfg and prepares a router; nothing is listened on and nothing is
// asked of Redis before Run.
func New(cfg Config) (*Router, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &Router{
		cfg: cfg.withDefaults(), ready: make(chan struct{}), settled: make(chan struct{}),
		stopping: make(chan struct{}), followed: make(chan struct{}),
	}
	r.life, r.endLife = context.WithCancel(context.Background())
	r.bg.cfg, r.bg.life = &r.cfg, r.life
	r.table = newTable(&r.cfg)
	r.reader = &reader{ctx: r.life, cfg: &r.cfg, table: r.table, bg: &r.bg}
	r.proxy = newProxy(&r.cfg, r.table, r.reader, &r.bg, r.stopping)
	var err error
	if r.certs, err = newCertificates(&r.cfg, r.table, r.reader); err != nil {
		return nil, fmt.Errorf("router: load TLS certificate: %w", err)
	}
	r.proxy.challenge = r.certs.challenge
	r.checks = &checker{cfg: &r.cfg, table: r.table, reader: r.reader, bg: &r.bg, marks: r.proxy.marks}
	r.table.check = r.checks.start
	return r, nil
}

// Ready is closed when the router listens; the addresses are then known. It stays
// open when Run fails before that.
func (r *Router) Ready() <-chan struct{} { return r.ready }

// Addr returns the address of the plain listener, or nil.
func (r *Router) Addr() net.Addr { return r.get(&r.addr) }

// TLSAddr returns the address of the TLS listener, or nil.
func (r *Router) TLSAddr() net.Addr { return r.get(&r.tls) }

// AdminAddr returns the address of the admin server, or nil.
func (r *Router) AdminAddr() net.Addr { return r.get(&r.adminAt) }

func (r *Router) get(a *net.Addr) net.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return *a
}

// Run serves until ctx ends, then stops gracefully: it closes each connection after
// its next answer, accepts nothing more after Config.Linger, lets what is in flight end within Config.Grace, and cuts the rest, which it reports
// as an error. Redis need not be there when it starts.
func (r *Router) Run(ctx context.Context) error {
	defer r.endLife()
	// Requests see the end of the grace as their own cancellation.
	requests, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)

	// Two servers for one handler, since ServeTLS writes to its server.
	plain, secure := newPublic(r.server(requests, r.proxy)), newPublic(r.server(requests, r.proxy))
	if r.cfg.ListenTLS != "" {
		secure.srv.TLSConfig = r.certs.config()
	}
	admin := r.server(requests, r.adminHandler())
	failed := make(chan error, 3)
	followed := false
	if r.cfg.Keeper != nil {
		r.remember()
	}
	err := r.listen(ctx, plain, secure, admin, failed)
	if err == nil {
		r.background()
		close(r.ready)
		select {
		case <-ctx.Done():
			r.cfg.Log.Info("stopping", "grace", r.cfg.Grace)
		case <-r.followed:
			r.cfg.Log.Info("another router is taking over: stopping", "grace", r.cfg.Grace)
			followed = true
		case err = <-failed:
		}
	}
	close(r.stopping)
	if followed {
		plain.close()
		secure.close()
		_, _ = r.follower.Write([]byte{1})
		defer r.follower.Close()
	}
	if err == nil {
		_ = r.cfg.Clock.Sleep(r.life, r.cfg.Linger)
	}
	return errors.Join(err, r.stop(cut, admin, plain, secure))
}

// listen opens the addresses and serves them.
func (r *Router) listen(ctx context.Context, plain, secure *public, admin *http.Server, failed chan<- error) (err error) {
	var before *before
	if r.cfg.TakeOver {
		if before, err = r.find(ctx); err != nil {
			return err
		}
	}
	var adminAt net.Listener
	for _, a := range []struct {
		name, addr string
		l          *net.Listener
	}{{"HTTP", r.cfg.Listen, &plain.l}, {"HTTPS", r.cfg.ListenTLS, &secure.l}, {"admin", r.cfg.Admin, &adminAt}} {
		if *a.l, err = r.open(ctx, a.name, a.addr); err != nil {
			break
		}
	}
	switch {
	case before != nil && err == nil:
		for _, l := range r.cfg.Inherited { // that only the one before had
			_ = l.Close()
		}
		err = before.stop()
	case err == nil && len(r.cfg.Inherited) > 0:
		err = fmt.Errorf("a socket for %s was handed over, and none of the addresses to listen on has its port", r.cfg.Inherited[0].Addr())
	}
	if err != nil {
		for _, l := range []net.Listener{adminAt, plain.l, secure.l} {
			if l != nil {
				_ = l.Close()
			}
		}
		plain.l, secure.l = nil, nil
		if before != nil {
			before.leave()
		}
		return err
	}
	r.serve("HTTP", plain.l, &r.addr, plain.serve, failed)
	r.serve("HTTPS", secure.l, &r.tls, secure.serve, failed)
	r.bg.start(func() {
		if before != nil { // until it ends, it is the one to ask
			before.end(r.life)
		}
		r.serve("admin", adminAt, &r.adminAt, func() error { return admin.Serve(adminAt) }, failed)
		r.offer([]net.Listener{plain.l, secure.l, adminAt})
		close(r.settled)
	})
	if before == nil {
		<-r.settled
	}
	return nil
}

// serve notes where l, if there is one, listens, and accepts until it is closed.
func (r *Router) serve(name string, l net.Listener, at *net.Addr, accept func() error, failed chan<- error) {
	if l == nil {
		return
	}
	r.mu.Lock()
	*at = l.Addr()
	r.mu.Unlock()
	r.cfg.Log.Info("listening", "for", name, "address", l.Addr().String())
	r.bg.start(func() {
		if err := failure.Protect(accept); err != nil && !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve %s: %w", name, err)
		}
	})
}

// server returns an http.Server whose requests end with ctx.
func (r *Router) server(ctx context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: r.cfg.ReadHeaderTimeout,
		IdleTimeout:       r.cfg.IdleTimeout,
		MaxHeaderBytes:    r.cfg.MaxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(r.cfg.Log.Handler(), slog.LevelDebug),
	}
}

// background starts what runs beside requests until the life ends.
func (r *Router) background() {
	if r.cfg.Keeper != nil {
		r.bg.keep(r.keepSaving)
	}
	r.bg.keep(func() { r.table.listen(r.life, r.cfg.Redis) })
	r.bg.keep(func() {
		for r.cfg.Clock.Sleep(r.life, sweepEvery) == nil {
			r.table.sweep()
			r.proxy.limits.sweep(r.cfg.Clock.Now())
		}
	})
}

// stop ends the public servers gracefully, then everything else. The admin
// server answers until the end: a drain is watched through it.
func (r *Router) stop(cut context.CancelCauseFunc, admin *http.Server, publics ...*public) error {
	grace, cancel := context.WithTimeout(context.Background(), r.cfg.Grace)
	defer cancel()
	patience, cancel := context.WithTimeout(grace, max(r.cfg.Linger, 0))
	defer cancel()
	var servers failure.Crew
	for _, p := range publics {
		servers.Go(func() {
			p.drain(grace, patience)
			_ = p.srv.Shutdown(grace) // an error is the grace's end; activity says what is left
		}, r.bg.bug)
	}
	servers.Wait()
	left := r.proxy.active.wait(grace)
	cut(errStopping)
	for _, p := range publics {
		_ = p.srv.Close()
	}
	last, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r.proxy.active.wait(last) // those that were cut notice and leave
	_ = admin.Shutdown(last)
	_ = admin.Close()
	r.endLife()
	r.bg.close()
	r.table.closeIdle()
	if left > 0 {
		return fmt.Errorf("router stopped: %d requests were still in flight after %v and were cut", left, r.cfg.Grace)
	}
	return nil
}
