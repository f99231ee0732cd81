package app

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/router"
	"github.com/mepc/mepc-run/servers"
)

// routerCmd is mepc-run router.
type routerCmd struct {
	*invocation
	router.Config
	acmeCA    string
	accessLog string
	logFormat string
	table     string
}

func routerCommand(in *invocation) *cobra.Command {
	c := &routerCmd{invocation: in}
	cmd := &cobra.Command{
		Use:   "router [--listen ADDRESS] [--redis URL]",
		Short: "Route HTTP by the Hipache keys in Redis",
		Long: `Routes HTTP requests by their host: frontend:<host> in Redis is a list of an
identifier and backend URLs. It speaks the keys that Hipache and planb speak.
A switch is in force for every request that arrives after it.`,
		Example: `  mepc-run router --listen :8080 --redis redis://127.0.0.1:6379
  curl http://127.0.0.1:8081/-/inflight`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&c.Listen, "listen", ":8080", "`ADDRESS` for HTTP")
	f.StringVar(&c.ListenTLS, "listen-tls", "", "`ADDRESS` for HTTPS and HTTP/2")
	f.StringVar(&c.TLSCert, "tls-cert", "", "PEM `FILE` of the certificate, several with commas; read again when they change")
	f.StringVar(&c.TLSKey, "tls-key", "", "PEM `FILE` of its key, several with commas")
	f.BoolVar(&c.ACME, "acme", false, "get certificates for hosts by ACME, and keep them in Redis; you agree to the authority's terms")
	f.StringVar(&c.ACMEEmail, "acme-email", "", "`ADDRESS` that the authority writes to")
	f.StringVar(&c.ACMEDirectory, "acme-directory", "", "`URL` of the authority (default Let's Encrypt)")
	f.StringVar(&c.acmeCA, "acme-ca", "", "PEM `FILE` that the authority's own certificate is verified with")
	f.StringVar(&c.Admin, "admin", "127.0.0.1:8081", "`ADDRESS` of GET /-/frontends, /-/inflight, /-/healthz; empty: none. It has no password: keep it on loopback")
	f.StringVar(&c.flags.Redis, "redis", "", redisUsage)
	f.StringVar(&c.accessLog, "access-log", "-", "append one line a request to `FILE`; -: stdout; empty: none")
	f.StringVar(&c.table, "table", savedByDefault, "keep the last known table in `FILE`, for a start without Redis; auto: in STATE_DIRECTORY or the state directory; empty: none")
	f.StringVar(&c.logFormat, "access-log-format", "combined", "`FORMAT` of the access log: combined or json")
	f.IntVar(&c.AddressRate, "limit-rate", 0, "answer 429 above `N` requests a second from one client address (0: no limit)")
	f.IntVar(&c.AddressInFlight, "limit-in-flight", 0, "answer 429 above `N` requests at one time from one client address (0: no limit)")
	f.Var(parsed(&c.DialTimeout, positiveDuration), "dial-timeout", "wait this `TIME` for a backend's connection (default 2s)")
	f.Var(parsed(&c.ResponseTimeout, positiveDuration), "response-timeout", "wait this `TIME` for a backend's answer (default 1m)")
	f.Var(parsed(&c.Grace, positiveDuration), "drain", "requests may go on for this `TIME` after a signal (default 30s)")
	f.BoolVar(&c.TakeOver, "take-over", false, "start beside the router that has these addresses: it hands them over, drains and ends")
	f.BoolVar(&c.TrustForwarded, "trust-forwarded", false, "keep X-Forwarded-Proto and -Host of requests: only behind a proxy that sets them")
	return cmd
}

// complete makes of the flags what the router wants.
func (c *routerCmd) complete() error {
	switch c.logFormat {
	case "json":
		c.AccessJSON = true
	case "combined":
	default:
		return failure.New(failure.Usage, "--access-log-format %s: it is combined or json", c.logFormat)
	}
	if c.acmeCA == "" {
		return nil
	}
	pem, err := os.ReadFile(c.acmeCA)
	if c.ACMERoots = x509.NewCertPool(); err != nil || !c.ACMERoots.AppendCertsFromPEM(pem) {
		return failure.New(failure.Usage, "--acme-ca %s: it is not a PEM file with a certificate", c.acmeCA)
	}
	return nil
}

func (c *routerCmd) run(ctx context.Context) error {
	if err := c.complete(); err != nil {
		return err
	}
	world := servers.Live(servers.Options{Redis: c.flags.Redis, Getenv: c.env.Getenv})
	defer world.Close()
	store, endpoint, err := world.Redis(ctx, "")
	if err != nil {
		return err
	}
	closeLog, err := c.openAccessLog()
	if err != nil {
		return err
	}
	defer closeLog()
	c.Keeper = c.tableFile(endpoint)
	if c.Inherited, err = inheritedSockets(); err != nil {
		return err
	}
	c.Redis, c.Log = store, slog.New(slog.NewTextHandler(c.env.Stderr, nil))
	r, err := router.New(c.Config)
	if err != nil {
		return failure.New(failure.Usage, "%s", asFlags.Replace(err.Error())).
			WithHint("mepc-run router --help lists the flags")
	}
	defer outliveReaders()()
	failure.Go(func() error {
		select {
		case <-r.Ready():
			_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
			c.Log.Info("routing", "listen", c.Listen, "tls", c.ListenTLS, "admin", c.Admin, "redis", endpoint)
		case <-ctx.Done():
		}
		return nil
	})
	if err := r.Run(ctx); err != nil && !errors.Is(err, context.Cause(ctx)) {
		return failure.Wrap(failure.Unavailable, err, "router")
	}
	return nil
}

// inheritedSockets returns those that systemd hands over.
func inheritedSockets() (ls []net.Listener, err error) {
	for _, f := range activation.Files(true) {
		l, err := net.FileListener(f)
		_ = f.Close()
		if err != nil {
			return nil, failure.Wrap(failure.Usage, failure.Innermost(err), "a socket from systemd: ListenStream= is wanted")
		}
		ls = append(ls, l)
	}
	return ls, nil
}

// asFlags names the router's options as the command line has them.
var asFlags = strings.NewReplacer("ListenTLS address", "--listen-tls", "Listen address", "--listen", "Admin address", "--admin",
	"ListenTLS", "--listen-tls", "Listen", "--listen", "TLSCert", "--tls-cert", "TLSKey", "--tls-key", "ACME", "--acme")

func (c *routerCmd) openAccessLog() (closeLog func() error, err error) {
	switch c.accessLog {
	case "":
	case "-":
		c.AccessLog = c.env.Stdout
	default:
		f, err := openLogFile(c.accessLog)
		if err != nil {
			return nil, failure.Wrap(failure.Usage, failure.Innermost(err), "--access-log %s", c.accessLog)
		}
		c.AccessLog = f
		return f.Close, nil
	}
	return func() error { return nil }, nil
}
