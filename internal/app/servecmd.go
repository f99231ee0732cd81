package app

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
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
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/docker/docker/client"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/disk"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/queue"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/internal/serve"
	"github.com/mepc/mepc-run/internal/trigger"
	"github.com/mepc/mepc-run/servers"
)

// serveFlags are those of mepc-run serve, and what its configuration can say, too.
type serveFlags struct {
	listen      string
	tlsCert     string
	tlsKey      string
	tokenFile   string
	workers     int64
	maxQueue    int64
	maxRecipe   int64
	bounds      bounds // of a worker
	stopTimeout time.Duration
	config      string
}

func (f *serveFlags) add(s *pflag.FlagSet) {
	*f = serveFlags{listen: "127.0.0.1:7070", workers: 8, maxQueue: 1000, maxRecipe: 100, bounds: bounds{Memory: 1 << 30, CPU: 10 * time.Minute}, stopTimeout: 30 * time.Second}
	s.StringVar(&f.config, "config", "", "read flags from this TOML `FILE`, such as redis = \"redis://10.0.0.2\"; the command line wins")
	s.StringVar(&f.listen, "listen", f.listen, "take requests at `ADDRESS`: host:port, or unix:PATH")
	s.StringVar(&f.tlsCert, "tls-cert", "", "`FILE` with the server's certificate; required unless only this machine can reach it")
	s.StringVar(&f.tlsKey, "tls-key", "", "`FILE` with its key")
	s.StringVar(&f.tokenFile, "token-file", "", "`FILE` with the token of the API, readable only by its owner (default: one is created in the state directory)")
	s.Var(parsed(&f.workers, positive), "workers", "run at most `N` recipes at a time (default 8)")
	s.Var(parsed(&f.maxQueue, positive), "max-queue", "let at most `N` requests wait (default 1000)")
	s.Var(parsed(&f.maxRecipe, positive), "max-recipe-queue", "let at most `N` requests of one recipe wait (default 100)")
	s.Var(parsed(&f.bounds.Memory, heapSize), "worker-memory", "a worker may use `SIZE` of memory (default 1GiB)")
	s.Var(parsed(&f.bounds.CPU, positiveDuration), "worker-cpu", "a worker may use `TIME` of CPU (default 10m)")
	s.Var(parsed(&f.stopTimeout, positiveDuration), "stop-timeout", "when stopped, wait `TIME` for runs; after that they go on without the server (default 30s)")
}

// serveCmd is mepc-run serve.
type serveCmd struct {
	*invocation
	serveFlags
}

func serveCommand(in *invocation) *cobra.Command {
	c := &serveCmd{invocation: in}
	cmd := &cobra.Command{
		Use: "serve [DIR]", Short: "Keep recipes loaded and run them on request", Args: atMostOne("directory"),
		Long: `Keeps the recipes in DIR (default .) loaded, and runs them on request, one run of an
app at a time: through the API, mepc-run trigger, or the page at its address. An
accepted request is on disk and will be run, whatever happens to the server. Each
run is a process of its own, which goes on when the server ends; the next server
takes it over.`,
		Example: "  mepc-run serve deploy\n  mepc-run serve deploy --listen unix:/run/mepc-run/socket",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := configure(cmd.Flags(), c.config); err != nil {
				return err
			}
			if err := c.flags.check(); err != nil {
				return err
			}
			return c.serve(cmd.Context(), cmp.Or(strings.Join(args, ""), "."))
		},
	}
	flags := cmd.Flags()
	c.add(flags)
	c.pick(cmd, "docker", "context", "insecure-docker", "redis", "router", "secret", "env", "allow", "lock-wait",
		"verbose", "timeout", "grace", "max-steps", "max-heap", "max-source", "state", "keep-runs")
	return cmd
}

// remembered is the number of ended requests whose deliveries are remembered.
const remembered = 10_000

// serve keeps the recipes in dir loaded, and runs them.
func (c *serveCmd) serve(ctx context.Context, dir string) error {
	state, err := c.stateDir()
	if err != nil {
		return err
	}
	c.flags.State = state.Path() // for the workers, whatever the environment says
	log := c.log()
	config, err := c.tls(log)
	if err != nil {
		return err
	}
	listener, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer listener.Close()
	recipes, err := c.openGarden(dir, log)
	if err != nil {
		return err
	}
	var watching failure.Crew
	defer watching.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	lasting := func(f func()) {
		bug := failure.BugTo(log)
		watching.Go(func() {
			failure.Lasting(f, func(err error) bool { bug(err); return clock.Wall{}.Sleep(ctx, time.Second) == nil })
		}, bug)
	}
	lasting(func() { recipes.Watch(ctx) })
	firstLoad(ctx, recipes, log)
	workers := &workers{recipes, c.flags.settings, c.bounds, ctx}
	q, err := queue.Open(queue.Options{
		Journal: state, Clock: clock.Wall{}, Start: workers.start, Log: log,
		Workers: int(c.workers), Max: int(c.maxQueue), MaxRecipe: int(c.maxRecipe), Keep: remembered,
	})
	if err != nil {
		return err
	}
	token, secrets, err := c.proofs(state)
	if err != nil {
		return errors.Join(err, q.Close(ctx))
	}
	clients := servers.Live(c.servers())
	defer clients.Close()
	looked := lookedAt(clients)
	address := c.address(listener)
	server := serve.New(serve.Options{
		Queue: q, Journal: state, Recipes: recipes, Rehearse: workers, Clock: clock.Wall{}, Log: log,
		Version: buildOf(c.env).String(), Token: token, Secrets: secrets, Servers: looked, TLS: config,
	})
	if err := record(state, &serverRecord{address, os.Getpid()}); err != nil {
		return errors.Join(err, q.Close(ctx))
	}
	_, _ = daemon.SdNotify(true, daemon.SdNotifyReady) // without systemd nobody listens
	log.Info("serving", "address", address, "recipes", dir, "state", state.Path(), "token", c.tokenPlace(state.Path()))
	lasting(func() {
		trigger.Run(ctx, trigger.Options{
			Recipes: recipes, Dir: dir, State: filepath.Join(state.Path(), "serve", "seen"), Name: consumer(state.Path()), Clock: clock.Wall{}, Log: log,
			Fire: server.Fire, Ended: server.Ended, Docker: looked.Docker, Redis: looked.Redis,
		})
	})
	err = server.Serve(ctx, listener)
	_, _ = daemon.SdNotify(true, daemon.SdNotifyStopping)
	log.Info("stopping")
	last, cancel := context.WithTimeout(c.abort, c.stopTimeout)
	defer cancel()
	return errors.Join(err, q.Close(last))
}

// log is the server's log.
func (c *serveCmd) log() *slog.Logger {
	level := slog.LevelInfo
	if c.flags.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(c.env.Stderr, &slog.HandlerOptions{Level: level}))
}

// proofs are the credentials that requests are checked against: the token, and secrets by name.
func (c *serveCmd) proofs(state *journal.Dir) (token string, secrets map[string]func() (string, error), err error) {
	if token, err = c.token(state.Path()); err != nil {
		return "", nil, err
	}
	secrets, err = c.flags.declaredSecrets(c.env.Getenv)
	return token, secrets, err
}

// lookedAt are the servers that the page and triggers look at.
func lookedAt(clients *servers.Clients) serve.Servers {
	return serve.Servers{
		Docker: func(ctx context.Context) (*client.Client, error) {
			cli, _, err := clients.Docker(ctx, servers.DockerEndpoint{})
			return cli, err
		},
		Redis: func(ctx context.Context) (redis.UniversalClient, error) {
			r, _, err := clients.Redis(ctx, "")
			return r, err
		},
	}
}

// usual bounds the time that loading the recipes normally takes.
const usual = 10 * time.Second

// firstLoad waits for the recipes to be loaded, and no longer than usual: those that
// are slow must not keep the server from the others.
func firstLoad(ctx context.Context, recipes *reload.Tree, log *slog.Logger) {
	waiting, enough := context.WithCancel(ctx)
	defer enough()
	late := failure.Go(func() error { return clock.Wall{}.Sleep(waiting, usual) })
	select {
	case <-recipes.Loaded():
	case <-late:
		if ctx.Err() == nil {
			log.Warn("the server starts before all recipes are loaded", "waited", usual)
		}
	}
}

// consumer names the server of a state directory among others, also after a restart.
func consumer(state string) string {
	sum := sha256.Sum256([]byte(state))
	return hostname() + "-" + hex.EncodeToString(sum[:4])
}

// tls is the server's configuration; nil: it has none.
func (f *serveFlags) tls(log *slog.Logger) (*tls.Config, error) {
	switch {
	case (f.tlsCert == "") != (f.tlsKey == ""):
		return nil, failure.New(failure.Usage, "--tls-cert and --tls-key must be given together")
	case f.tlsCert == "":
		return nil, nil
	}
	return serverTLS(f.tlsCert, f.tlsKey, clock.Wall{}, log)
}

// open begins to listen.
func (f *serveFlags) open(ctx context.Context) (net.Listener, error) {
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
		return nil, failure.Wrap(failure.Unavailable, failure.Innermost(err), "listen at %s", f.listen).WithHint("name another address with --listen")
	}
	if network == "unix" {
		err = os.Chmod(address, 0o600)
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
		return failure.New(failure.Usage, "--listen %s: neither host:port nor unix:PATH", f.listen)
	}
	ip, err := netip.ParseAddr(host)
	if host == "localhost" || err == nil && ip.IsLoopback() || f.tlsCert != "" {
		return nil
	}
	return failure.New(failure.Denied, "--listen %s can be reached from other machines, and without TLS the token could be read on the way", f.listen).
		WithHint("add --tls-cert and --tls-key, or listen at 127.0.0.1 behind a proxy that has TLS")
}

// clearSocket removes the socket of a server that is gone.
func clearSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return failure.New(failure.Conflict, "%s exists and is not a socket", path).WithHint("name another path")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(failure.New(failure.Conflict, "%s is already in use", path), conn.Close())
	}
	return os.Remove(path)
}

// address returns the address at which clients find the server.
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
			return "", failure.Wrap(failure.Output, failure.Innermost(err), "make a token in %s", name)
		}
	}
	return readToken(name)
}

// tokenPlace says where the token is.
func (f *serveFlags) tokenPlace(state string) string {
	if strings.HasPrefix(f.listen, "unix:") && f.tokenFile == "" {
		return "none: the socket is its owner's"
	}
	return cmp.Or(f.tokenFile, tokenPath(state))
}

func tokenPath(state string) string { return filepath.Join(state, "serve", "token") }

func makeToken(name string) error {
	_, err := os.Stat(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return disk.Write(name, []byte(hex.EncodeToString(b[:])+"\n"))
}

// minToken is the minimum length of a token.
const minToken = 16

func readToken(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", failure.Wrap(failure.NotFound, failure.Innermost(err), "the token file %s", name)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", failure.New(failure.Denied, "the token file %s can be read by others", name).WithHint("chmod 600 %s", name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return "", failure.Wrap(failure.NotFound, failure.Innermost(err), "the token file %s", name)
	}
	token := string(bytes.TrimSpace(data))
	if len(token) < minToken {
		return "", failure.New(failure.Invalid, "the token in %s has only %d characters: it could be guessed", name, len(token)).
			WithHint("use %d or more random characters: openssl rand -hex 32 > %s", minToken, name)
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
		err = disk.Write(recordPath(state), append(data, '\n'))
	}
	if err != nil {
		return failure.Wrap(failure.Output, failure.Innermost(err), "say where the server is")
	}
	return nil
}
