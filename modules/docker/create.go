package docker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// callLabel carries a number drawn for one call of create or network_create:
// what has it was made by that call, whatever became of the reply. Recipes do
// not see it.
const callLabel = "mepc.call"

func createFunc() runtime.Func {
	return runtime.Func{
		Name: "create", Class: runtime.Write,
		Doc: "Creates a container, which does not run yet. The image must be on the engine. " +
			"Privileged containers, those in the machine's network, and those that mount / or the engine's socket need the operator's --allow.",
		From: "POST /containers/create", Returns: "the new container",
		Raises:  writes(failure.Invalid, failure.NotFound, failure.Conflict, failure.Denied),
		Example: `docker.create{name = "app-blue", image = "mepc/app:1.1", expose = {"8080"}, links = {"db:db"}}`,
		Call:    runtime.Effect((*Engine).create),
	}
}

type createArgs struct {
	Name        string            `lua:"name,required,target" doc:"its name: two or more of a-z, A-Z, 0-9, _, . and -, the first a letter or a digit"`
	Image       string            `lua:"image,required" doc:"the image's name or ID"`
	Cmd         []string          `lua:"cmd" doc:"the command, in place of the image's"`
	Entrypoint  []string          `lua:"entrypoint" doc:"the entry point, in place of the image's, whose command is then dropped"`
	Env         map[string]string `lua:"env,secret" doc:"environment variables; values may be secrets"`
	Labels      map[string]string `lua:"labels" doc:"labels"`
	Expose      []string          `lua:"expose" doc:"ports it listens on, such as 8080 or 53/udp"`
	Ports       []string          `lua:"ports" doc:"ports to publish on the engine's machine, as docker run -p takes them: 8080:80, 127.0.0.1::80, 53:53/udp"`
	Links       []string          `lua:"links" doc:"running containers it finds by another name: db:db is container:alias"`
	Network     string            `lua:"network" doc:"the network it is in: bridge, none, container:NAME or one of network_create; the engine's default when not given"`
	Aliases     []string          `lua:"aliases" doc:"further names by which others in the network find it; not in the default network"`
	Volumes     []string          `lua:"volumes" doc:"what is mounted, as docker run -v takes it: volume:/path, /host/path:/path:ro, /path"`
	Restart     string            `lua:"restart" default:"no" doc:"no, always, unless-stopped, on-failure or on-failure:5"`
	Memory      runtime.Size      `lua:"memory" doc:"the most memory it may use"`
	CPUs        float64           `lua:"cpus" min:"0" doc:"how many CPUs it may use, such as 1.5"`
	User        string            `lua:"user" doc:"user and group it runs as, such as 1000:1000"`
	WorkingDir  string            `lua:"working_dir" doc:"the directory it starts in"`
	Hostname    string            `lua:"hostname" doc:"its own host name; the ID's first 12 digits when not given"`
	StopSignal  string            `lua:"stop_signal" doc:"what stop sends; SIGTERM or what the image says when not given"`
	StopTimeout *time.Duration    `lua:"stop_timeout" doc:"how long stop waits before SIGKILL; 10s when not given"`
	Healthcheck *healthcheck      `lua:"healthcheck" doc:"a health check, in place of the image's"`
	ExtraHosts  []string          `lua:"extra_hosts" doc:"lines for /etc/hosts: name:address"`
	Log         *logConfig        `lua:"log" doc:"where its output goes; the engine's default when not given"`
	TTY         bool              `lua:"tty" doc:"give it a terminal"`
	Init        bool              `lua:"init" doc:"run a small init that reaps processes and passes signals on"`
	ReadOnly    bool              `lua:"read_only" doc:"mount its root read-only"`
	Privileged  bool              `lua:"privileged" doc:"no isolation from the engine's machine; needs --allow privileged"`
}

type healthcheck struct {
	Cmd         []string      `lua:"cmd" doc:"the program and its arguments; exit code 0 is healthy"`
	Shell       string        `lua:"shell" doc:"or a line for the container's shell"`
	Disable     bool          `lua:"disable" doc:"or no check at all, not the image's either"`
	Interval    time.Duration `lua:"interval" doc:"the time between checks; 30s when not given"`
	Timeout     time.Duration `lua:"timeout" doc:"how long one may take; 30s when not given"`
	StartPeriod time.Duration `lua:"start_period" doc:"how long failures after the start do not count"`
	Retries     int           `lua:"retries" min:"0" doc:"how many failures in a row are unhealthy; 3 when not given"`
}

type logConfig struct {
	Driver  string            `lua:"driver" doc:"such as json-file, journald or none"`
	Options map[string]string `lua:"options" doc:"the driver's options, such as max-size"`
}

// Created is what create returns.
type Created struct {
	ID       string   `lua:"id" doc:"64 hexadecimal digits"`
	Name     string   `lua:"name" doc:"its name"`
	Warnings []string `lua:"warnings" doc:"what the engine warns of"`
}

// Validate refuses what can be seen to be wrong without the engine.
func (a *createArgs) Validate() error {
	for _, err := range []error{checkNewName("name", a.Name), checkImage("image", a.Image)} {
		if err != nil {
			return err
		}
	}
	if len(a.Aliases) > 0 && (a.Network == "" || !container.NetworkMode(a.Network).IsUserDefined()) {
		return errors.New("aliases: only a network made by network_create has them; name one with network=")
	}
	for k := range a.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") {
			return fmt.Errorf("env: %q is not a variable's name", k)
		}
	}
	_, _, _, err := a.configs()
	return err
}

// configs builds the three parts of the engine's request.
func (a *createArgs) configs() (*container.Config, *container.HostConfig, *network.NetworkingConfig, error) {
	exposed, bindings, err := a.ports()
	if err != nil {
		return nil, nil, nil, err
	}
	restart, err := restartPolicy(a.Restart)
	if err != nil {
		return nil, nil, nil, err
	}
	health, err := a.Healthcheck.config()
	if err != nil {
		return nil, nil, nil, err
	}
	cfg := &container.Config{
		Image: a.Image, Cmd: a.Cmd, Entrypoint: a.Entrypoint, Env: envList(a.Env), Labels: map[string]string{}, ExposedPorts: exposed,
		User: a.User, WorkingDir: a.WorkingDir, Hostname: a.Hostname, StopSignal: a.StopSignal, Healthcheck: health, Tty: a.TTY,
	}
	for k, v := range a.Labels {
		cfg.Labels[k] = v
	}
	if a.StopTimeout != nil {
		n := int(seconds(a.StopTimeout) / time.Second)
		cfg.StopTimeout = &n
	}
	host := &container.HostConfig{
		PortBindings: bindings, RestartPolicy: restart, NetworkMode: container.NetworkMode(a.Network), ExtraHosts: a.ExtraHosts,
		Privileged: a.Privileged, ReadonlyRootfs: a.ReadOnly,
		Resources: container.Resources{Memory: int64(a.Memory), NanoCPUs: int64(math.Round(a.CPUs * 1e9))},
	}
	if a.Init {
		host.Init = &a.Init
	}
	if a.Log != nil {
		host.LogConfig = container.LogConfig{Type: a.Log.Driver, Config: a.Log.Options}
	}
	for _, v := range a.Volumes {
		if err := addVolume(v, cfg, host); err != nil {
			return nil, nil, nil, err
		}
	}
	nets, err := a.networking(host)
	return cfg, host, nets, err
}

// networking puts links where they belong: into the host's part for the
// default network, into the endpoint for one of network_create.
func (a *createArgs) networking(host *container.HostConfig) (*network.NetworkingConfig, error) {
	for _, l := range a.Links {
		name, alias, ok := strings.Cut(l, ":")
		if !ok {
			alias = name
		}
		if checkRef("", name) != nil || checkRef("", alias) != nil {
			return nil, fmt.Errorf("links: %q is not container:alias", l)
		}
	}
	if !host.NetworkMode.IsUserDefined() || a.Network == "" {
		host.Links = a.Links
		return nil, nil
	}
	return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
		a.Network: {Aliases: a.Aliases, Links: a.Links},
	}}, nil
}

// ports reads expose and ports as the docker CLI reads --expose and -p.
func (a *createArgs) ports() (nat.PortSet, nat.PortMap, error) {
	exposed, bindings, err := nat.ParsePortSpecs(a.Ports)
	if err != nil {
		return nil, nil, fmt.Errorf("ports: %w", err)
	}
	for _, p := range a.Expose {
		proto, rng := nat.SplitProtoPort(p)
		start, end, err := nat.ParsePortRange(rng)
		if err != nil || start == 0 {
			return nil, nil, fmt.Errorf("expose: %q is not a port: write 8080, 8080-8090 or 53/udp", p)
		}
		for n := start; n <= end; n++ {
			port, err := nat.NewPort(proto, strconv.FormatUint(n, 10))
			if err != nil {
				return nil, nil, fmt.Errorf("expose: %w", err)
			}
			exposed[port] = struct{}{}
		}
	}
	return exposed, bindings, nil
}

// addVolume reads what docker run -v takes.
func addVolume(v string, cfg *container.Config, host *container.HostConfig) error {
	source, rest, bound := strings.Cut(v, ":")
	if !bound {
		if !strings.HasPrefix(v, "/") {
			return fmt.Errorf("volumes: %q: a path in the container begins with /", v)
		}
		if cfg.Volumes == nil {
			cfg.Volumes = map[string]struct{}{}
		}
		cfg.Volumes[v] = struct{}{}
		return nil
	}
	if source == "" || !strings.HasPrefix(rest, "/") {
		return fmt.Errorf("volumes: %q is not volume:/path or /host/path:/path", v)
	}
	if !strings.HasPrefix(source, "/") && checkRef("", source) != nil {
		return fmt.Errorf("volumes: %q: %q is neither a volume's name nor an absolute path", v, source)
	}
	host.Binds = append(host.Binds, v)
	return nil
}

func envList(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return list
}

func (h *healthcheck) config() (*container.HealthConfig, error) {
	if h == nil {
		return nil, nil
	}
	c := &container.HealthConfig{Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries}
	given := 0
	if len(h.Cmd) > 0 {
		given++
		c.Test = append([]string{"CMD"}, h.Cmd...)
	}
	if h.Shell != "" {
		given++
		c.Test = []string{"CMD-SHELL", h.Shell}
	}
	if h.Disable {
		given++
		c.Test = []string{"NONE"}
	}
	if given != 1 {
		return nil, errors.New("healthcheck: one of cmd, shell and disable is needed")
	}
	return c, nil
}

func restartPolicy(s string) (container.RestartPolicy, error) {
	name, count, counted := strings.Cut(s, ":")
	p := container.RestartPolicy{Name: container.RestartPolicyMode(name)}
	switch p.Name {
	case "", container.RestartPolicyDisabled, container.RestartPolicyAlways, container.RestartPolicyUnlessStopped, container.RestartPolicyOnFailure:
	default:
		return p, fmt.Errorf("restart: %q is not one of no, always, unless-stopped, on-failure, on-failure:5", s)
	}
	if !counted {
		return p, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || p.Name != container.RestartPolicyOnFailure {
		return p, fmt.Errorf("restart: %q: only on-failure takes a count, such as on-failure:5", s)
	}
	p.MaximumRetryCount = n
	return p, nil
}

// restartText is the way back.
func restartText(p container.RestartPolicy) string {
	switch {
	case p.Name == "":
		return "no"
	case p.MaximumRetryCount > 0:
		return fmt.Sprintf("%s:%d", p.Name, p.MaximumRetryCount)
	}
	return string(p.Name)
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

// callNumber draws the value of callLabel.
func callNumber() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (e *Engine) create(ctx context.Context, a *createArgs) (*Created, error) {
	if err := e.allowed(a); err != nil {
		return nil, err
	}
	cfg, host, nets, err := a.configs()
	if err != nil {
		return nil, failure.New(failure.Invalid, "%s", err.Error())
	}
	call := callNumber()
	cfg.Labels[callLabel] = call
	out := &Created{Name: a.Name}
	err = e.change(ctx, func(ctx context.Context, c *client.Client) error {
		resp, err := c.ContainerCreate(ctx, cfg, host, nets, nil, a.Name)
		out.ID, out.Warnings = resp.ID, resp.Warnings
		return err
	}, func(ctx context.Context) (bool, string, error) {
		raw, err := e.getRaw(ctx, a.Name)
		switch {
		case isKind(err, failure.NotFound):
			return false, "there is no container named " + a.Name + " now", nil
		case err != nil:
			return false, "", err
		case raw.Config == nil || raw.Config.Labels[callLabel] != call:
			return false, "the container named " + a.Name + " is not the one that was to be created", nil
		}
		out.ID = raw.ID
		return true, "", nil
	})
	if err != nil {
		return nil, e.createFailed(ctx, err, a)
	}
	return out, nil
}
