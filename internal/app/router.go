package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/router"
)

func (c *command) routerCommand() *cobra.Command {
	cfg := router.Config{}
	accessLog := "-"
	cmd := &cobra.Command{
		Use:   "router [--listen ADDRESS] [--redis URL]",
		Short: "Route HTTP by the Hipache keys in Redis",
		Long: `Routes HTTP requests by their host: frontend:<host> in Redis is a list of an
identifier and backend URLs. It speaks the keys that Hipache and planb speak.
A switch is in force for every request that arrives after it.`,
		Example: `  mepc-run router --listen :8080 --redis redis://127.0.0.1:6379
  curl http://127.0.0.1:8081/-/inflight`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.route(cmd.Context(), cfg, accessLog)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&cfg.Listen, "listen", ":8080", "`ADDRESS` for HTTP")
	f.StringVar(&cfg.ListenTLS, "listen-tls", "", "`ADDRESS` for HTTPS and HTTP/2")
	f.StringVar(&cfg.TLSCert, "tls-cert", "", "PEM `FILE` of the certificate; read again when it changes")
	f.StringVar(&cfg.TLSKey, "tls-key", "", "PEM `FILE` of its key")
	f.StringVar(&cfg.Admin, "admin", "127.0.0.1:8081", "`ADDRESS` of GET /-/frontends, /-/inflight, /-/healthz; empty: none. It has no password: keep it on loopback")
	f.StringVar(&c.flags.redis, "redis", "", redisUsage)
	f.StringVar(&accessLog, "access-log", "-", "append one line a request to `FILE`; -: stdout; empty: none")
	f.Var(parsed(&cfg.DialTimeout, positiveDuration), "dial-timeout", "wait this `TIME` for a backend's connection (default 2s)")
	f.Var(parsed(&cfg.ResponseTimeout, positiveDuration), "response-timeout", "wait this `TIME` for a backend's answer (default 1m)")
	f.Var(parsed(&cfg.Grace, positiveDuration), "drain", "requests may go on for this `TIME` after a signal (default 30s)")
	f.BoolVar(&cfg.TrustForwarded, "trust-forwarded", false, "keep X-Forwarded-Proto and -Host of requests: only behind a proxy that sets them")
	return cmd
}

func (c *command) route(ctx context.Context, cfg router.Config, accessLog string) error {
	world := engine.Live(engine.Options{Redis: c.flags.redis, Getenv: c.env.Getenv})
	defer world.Close()
	store, endpoint, err := world.Redis(ctx, "")
	if err != nil {
		return err
	}
	closeLog, err := c.openAccessLog(&cfg, accessLog)
	if err != nil {
		return err
	}
	defer closeLog()
	cfg.Redis, cfg.Log = store, slog.New(slog.NewTextHandler(c.env.Stderr, nil))
	r, err := router.New(cfg)
	if err != nil {
		return failure.New(failure.Usage, "%s", asFlags.Replace(err.Error())).
			WithHint("mepc-run router --help lists the flags")
	}
	defer outliveReaders()()
	go func() {
		select {
		case <-r.Ready():
			cfg.Log.Info("routing", "listen", cfg.Listen, "tls", cfg.ListenTLS, "admin", cfg.Admin, "redis", endpoint)
		case <-ctx.Done():
		}
	}()
	if err := r.Run(ctx); err != nil && !errors.Is(err, context.Cause(ctx)) {
		return failure.Wrap(failure.Unavailable, err, "router")
	}
	return nil
}

// asFlags names the router's options as the command line has them.
var asFlags = strings.NewReplacer("ListenTLS address", "--listen-tls", "Listen address", "--listen", "Admin address", "--admin",
	"ListenTLS", "--listen-tls", "Listen", "--listen", "TLSCert", "--tls-cert", "TLSKey", "--tls-key")

func (c *command) openAccessLog(cfg *router.Config, name string) (closeLog func() error, err error) {
	switch name {
	case "":
	case "-":
		cfg.AccessLog = c.env.Stdout
	default:
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
		if err != nil {
			return nil, failure.Wrap(failure.Usage, innermost(err), "--access-log %s", name)
		}
		cfg.AccessLog = f
		return f.Close, nil
	}
	return func() error { return nil }, nil
}
