package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/certificate"
)

// sweepEvery is how often the table forgets what is long gone.
const sweepEvery = time.Minute

// Router is one router. It runs once.
type Router struct {
	cfg    Config
	table  *table
	reader *reader
	proxy  *proxy
	bg     workers
	cert   *certificate.Certificate

	// life is the context of everything that must outlive a request: it ends
	// when the last request is done.
	life    context.Context
	endLife context.CancelFunc

	ready    chan struct{}
	stopping chan struct{}

	mu                 sync.Mutex
	addr, tls, adminAt net.Addr
}

// New checks cfg and prepares a router; nothing is listened on and nothing is
// asked of Redis before Run.
func New(cfg Config) (*Router, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &Router{cfg: cfg.withDefaults(), ready: make(chan struct{}), stopping: make(chan struct{})}
	if r.cfg.TLSCert != "" {
		var err error
		if r.cert, err = certificate.Read(r.cfg.TLSCert, r.cfg.TLSKey, r.cfg.Clock, r.cfg.Log); err != nil {
			return nil, fmt.Errorf("router: load TLS certificate: %w", err)
		}
	}
	r.life, r.endLife = context.WithCancel(context.Background())
	r.table = newTable(&r.cfg)
	r.reader = &reader{ctx: r.life, cfg: &r.cfg, table: r.table, bg: &r.bg}
	r.proxy = newProxy(&r.cfg, r.table, r.reader, &r.bg)
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

// Run serves until ctx ends, then stops gracefully: it accepts nothing more, lets
// what is in flight end within Config.Grace, and cuts the rest, which it reports
// as an error. Redis need not be there when it starts.
func (r *Router) Run(ctx context.Context) error {
	defer r.endLife()
	// Requests see the end of the grace as their own cancellation.
	requests, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)

	// Two servers for one handler, since ServeTLS writes to its server.
	plain, secure := r.server(requests, r.proxy), r.server(requests, r.proxy)
	admin := r.server(requests, r.adminHandler())
	if r.cert != nil {
		secure.TLSConfig = r.cert.Config()
	}
	failed := make(chan error, 3)
	err := errors.Join(
		r.listen("HTTP", r.cfg.Listen, &r.addr, plain, failed),
		r.listen("HTTPS", r.cfg.ListenTLS, &r.tls, secure, failed),
		r.listen("admin", r.cfg.Admin, &r.adminAt, admin, failed),
	)
	if err == nil {
		r.background()
		close(r.ready)
		select {
		case <-ctx.Done():
			r.cfg.Log.Info("stopping", "grace", r.cfg.Grace)
		case err = <-failed:
		}
	}
	close(r.stopping)
	return errors.Join(err, r.stop(cut, admin, plain, secure))
}

// listen opens addr, if there is one, notes its address in at and serves it.
func (r *Router) listen(name, addr string, at *net.Addr, srv *http.Server, failed chan<- error) error {
	if addr == "" {
		return nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for %s: %w", name, err)
	}
	r.mu.Lock()
	*at = l.Addr()
	r.mu.Unlock()
	r.cfg.Log.Info("listening", "for", name, "address", l.Addr().String())
	r.bg.start(func() {
		var err error
		if srv.TLSConfig != nil {
			err = srv.ServeTLS(l, "", "")
		} else {
			err = srv.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve %s: %w", name, err)
		}
	})
	return nil
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
	r.bg.start(func() { r.table.listen(r.life, r.cfg.Redis) })
	r.bg.start(func() {
		for r.cfg.Clock.Sleep(r.life, sweepEvery) == nil {
			r.table.sweep()
		}
	})
}

// stop ends the public servers gracefully, then everything else. The admin
// server answers until the end: a drain is watched through it.
func (r *Router) stop(cut context.CancelCauseFunc, admin *http.Server, public ...*http.Server) error {
	grace, cancel := context.WithTimeout(context.Background(), r.cfg.Grace)
	defer cancel()
	var servers sync.WaitGroup
	for _, s := range public {
		servers.Go(func() {
			_ = s.Shutdown(grace) // an error is the grace's end; activity says what is left
		})
	}
	servers.Wait()
	left := r.proxy.active.wait(grace)
	cut(errStopping)
	for _, s := range public {
		_ = s.Close()
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
