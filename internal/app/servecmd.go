package app

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/docker/docker/client"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/queue"
	"github.com/mepc/mepc-run/internal/serve"
	"github.com/mepc/mepc-run/internal/trigger"
)

// serveFlags are those of mepc-run serve, and what its configuration can say, too.
type serveFlags struct {
	listen      string
	tlsCert     string
	tlsKey      string
	tokenFile   string
	workers     int64
	maxQueue    int64
	memory      uint64
	cpu         time.Duration
	stopTimeout time.Duration
	config      string
}

func (f *serveFlags) add(s *pflag.FlagSet) {
	*f = serveFlags{listen: "127.0.0.1:7070", workers: 8, maxQueue: 1000, memory: 1 << 30, cpu: 10 * time.Minute, stopTimeout: 30 * time.Second}
	s.StringVar(&f.config, "config", "", "read flags from this TOML `FILE`, such as redis = \"redis://10.0.0.2\"; those of the command line count more")
	s.StringVar(&f.listen, "listen", f.listen, "take requests at `ADDRESS`: host:port, or unix:PATH")
	s.StringVar(&f.tlsCert, "tls-cert", "", "`FILE` with the server's certificate; needed where not only this machine reaches it")
	s.StringVar(&f.tlsKey, "tls-key", "", "`FILE` with its key")
	s.StringVar(&f.tokenFile, "token-file", "", "`FILE` with the token of the API, readable by its owner alone (default: one is made in the state directory)")
	s.Var(parsed(&f.workers, positive), "workers", "run at most `N` recipes at a time (default 8)")
	s.Var(parsed(&f.maxQueue, positive), "max-queue", "let at most `N` requests wait (default 1000)")
	s.Var(parsed(&f.memory, heapSize), "worker-memory", "a worker may use memory of `SIZE` (default 1GiB)")
	s.Var(parsed(&f.cpu, positiveDuration), "worker-cpu", "a worker may compute for `TIME` (default 10m)")
	s.Var(parsed(&f.stopTimeout, positiveDuration), "stop-timeout", "when stopped, wait `TIME` for runs; then they go on without the server (default 30s)")
}

func (c *command) serveCommand() *cobra.Command {
	f := &serveFlags{}
	cmd := &cobra.Command{
		Use: "serve [DIR]", Short: "Keep recipes loaded, and run them when something asks for it", Args: atMostOneDir,
		Long: `Keeps the recipes in DIR (default .) loaded, and runs them when it is asked to, one
run of an app at a time: by the API, by mepc-run trigger, by the page at its
address. A request that was accepted is on disk, and will be run, whatever happens
to the server. Each run is a process of its own, which goes on when the server
ends; the next server takes it over.`,
		Example: "  mepc-run serve deploy\n  mepc-run serve deploy --listen unix:/run/mepc-run/socket",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := configure(cmd.Flags(), f.config); err != nil {
				return err
			}
			if err := c.flags.check(); err != nil {
				return err
			}
			return c.serve(cmd.Context(), cmp.Or(strings.Join(args, ""), "."), f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	f.add(flags)
	c.pick(flags, "docker", "context", "insecure-docker", "redis", "router", "secret", "env", "allow", "lock-wait",
		"verbose", "timeout", "grace", "max-steps", "max-heap", "max-source", "state", "keep-runs")
	return cmd
}

func atMostOneDir(cmd *cobra.Command, args []string) error {
	if len(args) <= 1 {
		return nil
	}
	return failure.New(failure.Usage, "%s takes one directory, got %d", cmd.CommandPath(), len(args)).WithHint("usage: %s", cmd.UseLine())
}

// remembered is how many requests that ended are known by their deliveries.
const remembered = 10_000

// serve is mepc-run serve.
func (c *command) serve(ctx context.Context, dir string, f *serveFlags) error {
	state, err := c.stateDir()
	if err != nil {
		return err
	}
	c.flags.state = state.Path() // for the workers, whatever the environment says
	level := slog.LevelInfo
	if c.flags.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(c.env.Stderr, &slog.HandlerOptions{Level: level}))
	listener, err := f.open(ctx, log)
	if err != nil {
		return err
	}
	defer listener.Close()
	recipes, err := c.openGarden(ctx, dir, log)
	if err != nil {
		return err
	}
	defer recipes.close()
	workers := &workers{command: c, recipes: recipes, flags: f}
	q, err := queue.Open(queue.Options{
		Journal: state, Clock: clock.Wall{}, Start: workers.start, Log: log,
		Workers: int(f.workers), Max: int(f.maxQueue), Keep: remembered,
	})
	if err != nil {
		return err
	}
	token, err := f.token(state.Path())
	if err != nil {
		return errors.Join(err, q.Close(ctx))
	}
	secrets, err := c.flags.declaredSecrets(c.env.Getenv)
	if err != nil {
		return errors.Join(err, q.Close(ctx))
	}
	servers := engine.Live(c.servers())
	defer servers.Close()
	looked := serve.Servers{
		Docker: func(ctx context.Context) (*client.Client, error) {
			cli, _, err := servers.Docker(ctx, engine.DockerEndpoint{})
			return cli, err
		},
		Redis: func(ctx context.Context) (redis.UniversalClient, error) {
			r, _, err := servers.Redis(ctx, "")
			return r, err
		},
	}
	address := f.address(listener)
	server := serve.New(serve.Options{
		Queue: q, Journal: state, Recipes: recipes, Rehearse: workers, Clock: clock.Wall{}, Log: log,
		Version: versionLine(c.env), Token: token, Secrets: secrets, Servers: looked,
	})
	if err := record(state, &serverRecord{address, os.Getpid()}); err != nil {
		return errors.Join(err, q.Close(ctx))
	}
	_, _ = daemon.SdNotify(true, daemon.SdNotifyReady) // without systemd nobody listens
	log.Info("serving", "address", address, "recipes", dir, "state", state.Path())
	watching := make(chan error, 1)
	go func() { watching <- recipes.Watch(ctx) }()
	var triggers sync.WaitGroup
	defer triggers.Wait()
	triggers.Go(func() {
		trigger.Run(ctx, trigger.Options{
			Recipes: recipes, Dir: dir, State: filepath.Join(state.Path(), "serve", "seen"), Name: consumer(state.Path()), Clock: clock.Wall{}, Log: log,
			Fire: server.Fire, Ended: server.Ended, Docker: looked.Docker, Redis: looked.Redis,
		})
	})
	err = server.Serve(ctx, listener)
	if lost := <-watching; lost != nil {
		log.Error("recipes were not reloaded", "error", lost)
	}
	_, _ = daemon.SdNotify(true, daemon.SdNotifyStopping)
	log.Info("stopping")
	last, cancel := context.WithTimeout(c.abort, f.stopTimeout)
	defer cancel()
	return errors.Join(err, q.Close(last))
}

// consumer names the server of a state directory among others, also after a restart.
func consumer(state string) string {
	sum := sha256.Sum256([]byte(state))
	return hostname() + "-" + hex.EncodeToString(sum[:4])
}

// open begins to listen.
func (f *serveFlags) open(ctx context.Context, log *slog.Logger) (net.Listener, error) {
	if (f.tlsCert == "") != (f.tlsKey == "") {
		return nil, failure.New(failure.Usage, "--tls-cert and --tls-key belong together")
	}
	network, address := "tcp", f.listen
	if path, ok := strings.CutPrefix(f.listen, "unix:"); ok {
		network, address = "unix", path
		if err := clearSocket(ctx, path); err != nil {
			return nil, err
		}
	} else if err := f.private(); err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, network, address)
	if err != nil {
		return nil, failure.Wrap(failure.Unavailable, innermost(err), "listen at %s", f.listen).WithHint("name another address with --listen")
	}
	if network == "unix" {
		err = os.Chmod(address, 0o600)
	}
	if err == nil && f.tlsCert != "" {
		l, err = withTLS(l, f.tlsCert, f.tlsKey, clock.Wall{}, log)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// private refuses an address that other machines reach, where there is no TLS.
func (f *serveFlags) private() error {
	host, _, err := net.SplitHostPort(f.listen)
	if err != nil {
		return failure.New(failure.Usage, "--listen %s: not host:port, and not unix:PATH", f.listen)
	}
	ip, err := netip.ParseAddr(host)
	if host == "localhost" || err == nil && ip.IsLoopback() || f.tlsCert != "" {
		return nil
	}
	return failure.New(failure.Denied, "--listen %s can be reached from other machines, and there is no TLS: the token would be read on the way", f.listen).
		WithHint("add --tls-cert and --tls-key, or listen at 127.0.0.1 behind a proxy that has TLS")
}

// clearSocket removes the socket of a server that is gone.
func clearSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return failure.New(failure.Conflict, "%s is there, and is no socket", path).WithHint("name another path")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(failure.New(failure.Conflict, "someone listens at %s", path), conn.Close())
	}
	return os.Remove(path)
}

// address is where clients find the server.
func (f *serveFlags) address(l net.Listener) string {
	switch {
	case strings.HasPrefix(f.listen, "unix:"):
		path, err := filepath.Abs(strings.TrimPrefix(f.listen, "unix:"))
		if err != nil {
			return f.listen
		}
		return "unix:" + path
	case f.tlsCert != "":
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}

// token returns the token of the API, and makes one when there is none. A Unix
// socket needs none: only its owner can open it.
func (f *serveFlags) token(state string) (string, error) {
	if strings.HasPrefix(f.listen, "unix:") && f.tokenFile == "" {
		return "", nil
	}
	name := cmp.Or(f.tokenFile, tokenPath(state))
	if f.tokenFile == "" {
		if err := makeToken(name); err != nil {
			return "", failure.Wrap(failure.Output, innermost(err), "make a token in %s", name)
		}
	}
	return readToken(name)
}

func tokenPath(state string) string { return filepath.Join(state, "serve", "token") }

func makeToken(name string) error {
	_, err := os.Stat(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return writeFile(name, []byte(hex.EncodeToString(b[:])+"\n"))
}

// minToken is how many characters a token has at least.
const minToken = 16

func readToken(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", failure.Wrap(failure.NotFound, innermost(err), "the token file %s", name)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", failure.New(failure.Denied, "the token file %s can be read by others", name).WithHint("chmod 600 %s", name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return "", failure.Wrap(failure.NotFound, innermost(err), "the token file %s", name)
	}
	token := string(bytes.TrimSpace(data))
	if len(token) < minToken {
		return "", failure.New(failure.Invalid, "the token in %s has %d characters: it could be guessed", name, len(token)).
			WithHint("let it have %d or more, drawn by chance: openssl rand -hex 32 > %s", minToken, name)
	}
	return token, nil
}

// serverRecord says where the server of a state directory is.
type serverRecord struct {
	Address string `json:"address"`
	PID     int    `json:"pid"`
}

func recordPath(state *journal.Dir) string {
	return filepath.Join(state.Path(), "serve", "server.json")
}

func record(state *journal.Dir, r *serverRecord) error {
	data, err := json.Marshal(r)
	if err == nil {
		err = writeFile(recordPath(state), append(data, '\n'))
	}
	if err != nil {
		return failure.Wrap(failure.Output, innermost(err), "say where the server is")
	}
	return nil
}
