package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/docker/docker/client"
)

// errBorrowed answers what cannot be done to a server that is not the lab's.
var errBorrowed = errors.New("the server was given by the environment and is not the lab's to stop")

// EngineOptions says how an engine runs. The zero value is a plain engine of
// the machine's own dockerd.
type EngineOptions struct {
	// Dir is the parent of the engine's private directory; default
	// os.TempDir(). Images and containers are kept below it.
	Dir string
	// LiveRestore keeps containers running while dockerd is down.
	LiveRestore bool
	// StorageDriver is overlay2, vfs ...; by default dockerd picks.
	StorageDriver string
	// BinDir has the dockerd, containerd, containerd-shim-runc-v2, runc and
	// docker-proxy to use before those of PATH.
	BinDir string
	// Hosts are more addresses to listen on, such as tcp://127.0.0.1:4243.
	Hosts []string
	// Config is laid over the lab's daemon.json, for instance
	// {"features": {"containerd-snapshotter": true}}.
	Config map[string]any
	// Log, when set, gets a copy of what dockerd and containerd log.
	Log io.Writer
}

// inherit fills in which engine it is from the environment.
func (o EngineOptions) inherit() EngineOptions {
	if o.BinDir == "" {
		o.BinDir = os.Getenv(envBin)
	}
	if store := os.Getenv(envStore); store != "" && o.Config["features"] == nil {
		config := map[string]any{"features": map[string]bool{"containerd-snapshotter": store == "containerd"}}
		maps.Copy(config, o.Config)
		o.Config = config
	}
	return o
}

// Engine is a Docker engine of the lab's own, or one that the environment gave.
// Its methods are for one goroutine at a time.
type Engine struct {
	host string

	mark string // of a borrowed engine: see label

	// The rest is nil for an engine that the environment gave.
	home       *home
	opts       EngineOptions
	net        addresses
	tools      tools
	containerd *process
	dockerd    *process
	stopped    bool
}

// StartEngine starts a Docker engine on a private socket, with a containerd, a
// bridge and a data directory of its own, and returns when it answers. It needs
// root. First it clears what labs that were killed have left in the same Dir.
// The caller must Stop it.
func StartEngine(ctx context.Context, opts EngineOptions) (*Engine, error) {
	opts = opts.inherit()
	t := systemTools(opts.BinDir)
	err := t.need("a Docker engine of the lab's own", map[string]string{
		"dockerd": "docker.io", "containerd": "docker.io", "runc": "docker.io", "ip": "iproute2",
	})
	if err != nil {
		return nil, err
	}
	if os.Getuid() != 0 {
		return nil, fmt.Errorf("%w: a Docker engine of the lab's own needs root: run as root, or set %s to an engine to use", ErrMissing, envDocker)
	}
	h, err := newHome(opts.Dir)
	if err != nil {
		return nil, err
	}
	e := &Engine{home: h, opts: opts, tools: t, host: "unix://" + h.join("docker.sock")}
	if err := e.bringUp(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start a Docker engine in %s: %w", h.path, err), e.Stop())
	}
	return e, nil
}

func (e *Engine) bringUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	var err error
	if e.net, err = claimNetwork(ctx, e.tools, e.home.name()); err != nil {
		return err
	}
	if err := e.writeConfig(); err != nil {
		return err
	}
	if err := e.startContainerd(ctx); err != nil {
		return err
	}
	return e.startDockerd(ctx)
}

// writeConfig writes what containerd and dockerd read. Everything they would
// keep below /var, /run, /etc or /opt is moved into the lab's directory.
func (e *Engine) writeConfig() error {
	conf := map[string]any{
		"hosts":                 append([]string{e.host}, e.opts.Hosts...),
		"containerd":            e.home.join("containerd.sock"),
		"data-root":             e.home.join("data"),
		"exec-root":             e.home.join("exec"),
		"pidfile":               e.home.join("dockerd.pid"),
		"bridge":                e.net.bridge,
		"default-address-pools": []map[string]any{{"base": e.net.pool.String(), "size": 26}},
		"iptables":              false, // see claimNetwork
		"ip-forward":            false, // a sysctl of the whole machine
		"ip-masq":               false,
		"group":                 strconv.Itoa(os.Getgid()), // no one else's: there may be no group docker
		"exec-opts":             []string{"native.cgroupdriver=cgroupfs"},
		"cgroup-parent":         "/" + e.home.name(), // the mark on containers' processes
		"live-restore":          e.opts.LiveRestore,
		"shutdown-timeout":      1,
		"deprecated-key-path":   e.home.join("key.json"), // old engines have it in /etc/docker, new ones ignore it
	}
	if e.opts.StorageDriver != "" {
		conf["storage-driver"] = e.opts.StorageDriver
	}
	maps.Copy(conf, e.opts.Config)
	b, err := json.MarshalIndent(conf, "", "  ")
	if err != nil {
		return fmt.Errorf("encode daemon.json: %w", err)
	}
	if err := os.WriteFile(e.home.join("daemon.json"), b, 0o600); err != nil {
		return err
	}
	return os.WriteFile(e.home.join("containerd.toml"), fmt.Appendf(nil, containerdConfig, e.home.path), 0o600)
}

// containerdConfig leaves out what only Kubernetes uses, and the store below
// /opt. Its one argument is the lab's directory.
const containerdConfig = `version = 2
root = "%[1]s/containerd"
state = "%[1]s/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
[grpc]
address = "%[1]s/containerd.sock"
`

func (e *Engine) startContainerd(ctx context.Context) error {
	path, err := e.tools.path("containerd")
	if err != nil {
		return err
	}
	e.containerd, err = start(e.home.path, "containerd", e.opts.Log, syscall.SIGKILL, e.tools.env(),
		path, "--config", e.home.join("containerd.toml"))
	if err != nil {
		return err
	}
	return e.containerd.await(ctx, dialable(e.home.join("containerd.sock")))
}

func (e *Engine) startDockerd(ctx context.Context) error {
	path, err := e.tools.path("dockerd")
	if err != nil {
		return err
	}
	// One that was killed leaves it, and its number may be another's by now.
	if err := os.Remove(e.home.join("dockerd.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	e.dockerd, err = start(e.home.path, "dockerd", e.opts.Log, syscall.SIGTERM, e.tools.env(),
		path, "--config-file", e.home.join("daemon.json"))
	if err != nil {
		return err
	}
	cli, err := e.Client()
	if err != nil {
		return err
	}
	defer cli.Close()
	return e.dockerd.await(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_, err := cli.Ping(ctx)
		return err
	})
}

// Host is the engine's address as DOCKER_HOST and --docker take it.
func (e *Engine) Host() string { return e.host }

// Owned reports whether the engine is the lab's own. One that the environment
// gave cannot be killed, paused or restarted.
func (e *Engine) Owned() bool { return e.home != nil }

// LogFile returns the path of dockerd's log while the engine lives; "" when the engine
// is not the lab's.
func (e *Engine) LogFile() string {
	if !e.Owned() {
		return ""
	}
	return e.home.join("dockerd.log")
}

// Client returns a new client of the engine, which the caller closes. It talks
// to the engine directly, past anything that is being tested.
func (e *Engine) Client() (*client.Client, error) {
	return client.NewClientWithOpts(client.WithHost(e.host), client.WithAPIVersionNegotiation())
}

// Kill9 kills dockerd as a crash would. containerd and, with LiveRestore, the
// containers go on, as they do where each is a service of the system.
func (e *Engine) Kill9() error {
	if !e.Owned() {
		return errBorrowed
	}
	e.dockerd.kill()
	return nil
}

// Restart starts dockerd again, after stopping it with SIGTERM when it runs,
// and returns when it answers.
func (e *Engine) Restart(ctx context.Context) error {
	if !e.Owned() {
		return errBorrowed
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	e.dockerd.stop(20 * time.Second)
	if err := e.startDockerd(ctx); err != nil {
		return fmt.Errorf("restart the Docker engine: %w", err)
	}
	return nil
}

// Pause makes the engine hang: its socket still takes connections and nothing
// answers. Resume ends it. Containers are not affected.
func (e *Engine) Pause() error {
	if !e.Owned() {
		return errBorrowed
	}
	return e.dockerd.pause()
}

// Resume lets a paused engine go on.
func (e *Engine) Resume() error {
	if !e.Owned() {
		return errBorrowed
	}
	return e.dockerd.signal(syscall.SIGCONT)
}

// Stop ends containers, dockerd and containerd, and removes all that the engine
// made on this machine. It works in whatever state the engine is, is bounded in
// time (it asks nobody to stop: it kills) and may be called again. On an engine
// that the environment gave it does nothing; see Lab.Stop.
func (e *Engine) Stop() error {
	if !e.Owned() || e.stopped {
		return nil
	}
	e.stopped = true
	e.dockerd.kill()
	e.containerd.kill()
	return e.home.remove()
}
