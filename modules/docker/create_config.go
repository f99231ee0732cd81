package docker

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
)

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
		User: a.User, WorkingDir: a.WorkingDir, Hostname: a.Hostname, Domainname: a.Domainname, StopSignal: a.StopSignal,
		Healthcheck: health, Tty: a.TTY, OpenStdin: a.OpenStdin,
	}
	for k, v := range a.Labels {
		cfg.Labels[k] = v
	}
	if a.StopTimeout != nil {
		n := int(seconds(a.StopTimeout) / time.Second)
		cfg.StopTimeout = &n
	}
	host := &container.HostConfig{
		PortBindings: bindings, PublishAllPorts: a.PublishAll, RestartPolicy: restart, AutoRemove: a.AutoRemove,
		NetworkMode: container.NetworkMode(a.Network), ExtraHosts: a.ExtraHosts, DNS: a.DNS, DNSSearch: a.DNSSearch, DNSOptions: a.DNSOptions,
		ReadonlyRootfs: a.ReadOnly, GroupAdd: a.Groups, Tmpfs: a.TmpFS, ShmSize: int64(a.ShmSize),
	}
	if a.AutoRemove && restart.Name != "" && restart.Name != container.RestartPolicyDisabled {
		return nil, nil, nil, errors.New("auto_remove and restart exclude each other")
	}
	if host.Resources, err = a.resources.config(); err != nil {
		return nil, nil, nil, err
	}
	if err := a.protection.apply(host); err != nil {
		return nil, nil, nil, err
	}
	if host.Mounts, err = mountList(a.Mounts); err != nil {
		return nil, nil, nil, err
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
	settings := placeArgs{Aliases: a.Aliases, IP: a.IP}.settings()
	settings.Links = a.Links
	return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{a.Network: settings}}, nil
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
