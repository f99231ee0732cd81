package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisOptions says how a Redis runs. The zero value is an empty one in memory
// without a password, on a socket.
type RedisOptions struct {
	// Dir is the parent of its private directory; default os.TempDir().
	Dir string
	// Password, when set, is wanted of every client.
	Password string
	// TCP makes it listen on a free port of 127.0.0.1 as well.
	TCP bool
	// Args are lines of redis.conf, such as "appendonly yes"; they come last
	// and so win.
	Args []string
}

// Redis is a Redis server of the lab's own, or one that the environment gave.
// Its methods are for one goroutine at a time.
type Redis struct {
	url    string
	tcpURL string

	// The rest is nil for a server that the environment gave.
	home    *home
	proc    *process
	stopped bool
}

// StartRedis starts a redis-server on a private socket and returns when it
// answers. It needs no root. The caller must Stop it.
func StartRedis(ctx context.Context, opts RedisOptions) (*Redis, error) {
	if err := systemTools("").need("a Redis of the lab's own", map[string]string{"redis-server": "redis-server"}); err != nil {
		return nil, err
	}
	h, err := newHome(opts.Dir)
	if err != nil {
		return nil, err
	}
	r := &Redis{home: h}
	if err := r.bringUp(ctx, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("start a Redis in %s: %w", h.path, err), r.Stop())
	}
	return r, nil
}

func (r *Redis) bringUp(ctx context.Context, opts RedisOptions) error {
	port := 0
	if opts.TCP {
		var err error
		if port, err = freePort(); err != nil {
			return fmt.Errorf("find a free port: %w", err)
		}
		r.tcpURL = (&url.URL{
			Scheme: "redis", User: userinfo(opts.Password),
			Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		}).String()
	}
	socket := r.home.join("redis.sock")
	r.url = (&url.URL{Scheme: "unix", User: userinfo(opts.Password), Path: socket}).String()

	lines := append([]string{
		"port " + strconv.Itoa(port),
		"bind 127.0.0.1",
		"unixsocket " + socket,
		"unixsocketperm 600",
		"daemonize no",
		"dir " + r.home.path,
		`save ""`,
	}, opts.Args...)
	if opts.Password != "" {
		lines = append(lines, "requirepass "+strconv.Quote(opts.Password))
	}
	// A file, not arguments: those are for every user of the machine to read.
	conf := r.home.join("redis.conf")
	if err := os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	return r.startServer(ctx)
}

func (r *Redis) startServer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	path, err := systemTools("").path("redis-server")
	if err != nil {
		return err
	}
	// A socket file left by a killed server would be dialled without success.
	if err := os.Remove(r.home.join("redis.sock")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	r.proc, err = start(r.home.path, "redis", nil, syscall.SIGKILL, os.Environ(), path, r.home.join("redis.conf"))
	if err != nil {
		return err
	}
	if err := r.proc.await(ctx, dialable(r.home.join("redis.sock"))); err != nil {
		return err
	}
	cli, err := r.Client()
	if err != nil {
		return err
	}
	defer cli.Close()
	return r.proc.await(ctx, func(ctx context.Context) error { return cli.Ping(ctx).Err() })
}

// URL is the server's address as REDIS_URL and --redis take it, password and
// all: unix:///path/redis.sock.
func (r *Redis) URL() string { return r.url }

// TCPURL is its address on loopback, redis://127.0.0.1:port; "" without
// RedisOptions.TCP.
func (r *Redis) TCPURL() string { return r.tcpURL }

// Owned reports whether the server is the lab's own. One that the environment
// gave cannot be killed, paused or restarted.
func (r *Redis) Owned() bool { return r.home != nil }

// Client returns a new client of the server, which the caller closes. It talks
// to the server directly, past anything that is being tested, and never
// repeats a command.
func (r *Redis) Client() (*redis.Client, error) {
	opts, err := redis.ParseURL(r.url)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", envRedis, err)
	}
	opts.MaxRetries = -1
	opts.ContextTimeoutEnabled = true
	return redis.NewClient(opts), nil
}

// Kill9 kills the server as a crash would.
func (r *Redis) Kill9() error {
	if !r.Owned() {
		return errBorrowed
	}
	r.proc.kill()
	return nil
}

// Restart starts the server again, after stopping it with SIGTERM when it runs,
// and returns when it answers. What it has kept is up to RedisOptions.Args.
func (r *Redis) Restart(ctx context.Context) error {
	if !r.Owned() {
		return errBorrowed
	}
	r.proc.stop(5 * time.Second)
	if err := r.startServer(ctx); err != nil {
		return fmt.Errorf("restart Redis: %w", err)
	}
	return nil
}

// Pause makes the server hang; Resume ends it.
func (r *Redis) Pause() error {
	if !r.Owned() {
		return errBorrowed
	}
	return r.proc.pause()
}

// Resume lets a paused server go on.
func (r *Redis) Resume() error {
	if !r.Owned() {
		return errBorrowed
	}
	return r.proc.signal(syscall.SIGCONT)
}

// Stop ends the server and removes its directory. It may be called again.
func (r *Redis) Stop() error {
	if !r.Owned() || r.stopped {
		return nil
	}
	r.stopped = true
	r.proc.kill()
	return r.home.remove()
}

// dialable returns a check that something listens on a unix socket.
func dialable(path string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

func userinfo(password string) *url.Userinfo {
	if password == "" {
		return nil
	}
	return url.UserPassword("", password)
}

// freePort returns a port of 127.0.0.1 that was free a moment ago.
func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}
