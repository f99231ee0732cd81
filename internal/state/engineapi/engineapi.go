// Package engineapi turns what a state says of images, containers and services
// into the types of the Docker Engine API, and back. It is used by whatever lays a
// state out on an engine, real or simulated, and by what reads one.
package engineapi

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"

	"github.com/mepc/mepc-run/internal/state"
)

// DefaultPath is the environment that a build starts from.
const DefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// ImageConfig is an image's configuration, with what a fixture need not say.
func ImageConfig(f *state.Image) (*container.Config, error) {
	exposed, err := portSet(f.Expose)
	if err != nil {
		return nil, fmt.Errorf("expose: %w", err)
	}
	c := &container.Config{
		ExposedPorts: exposed, Env: f.Env, Cmd: f.Cmd, Entrypoint: f.Entrypoint, Labels: f.Labels, User: f.User,
		WorkingDir: f.WorkingDir, StopSignal: f.StopSignal, Volumes: set(f.Volumes), Healthcheck: healthConfig(f.Healthcheck),
	}
	if c.Env == nil {
		c.Env = []string{DefaultPath}
	}
	if c.Cmd == nil && c.Entrypoint == nil {
		c.Cmd = []string{"/app"}
	}
	return c, nil
}

func healthConfig(h *state.Healthcheck) *container.HealthConfig {
	if h == nil {
		return nil
	}
	return &container.HealthConfig{
		Test: h.Test, Interval: h.Interval.Std(), Timeout: h.Timeout.Std(), StartPeriod: h.StartPeriod.Std(), Retries: h.Retries,
	}
}

// HealthcheckOf is the reverse of what ImageConfig and ContainerConfig do.
func HealthcheckOf(h *container.HealthConfig) *state.Healthcheck {
	if h == nil {
		return nil
	}
	return &state.Healthcheck{
		Test: h.Test, Interval: state.Duration(h.Interval), Timeout: state.Duration(h.Timeout), StartPeriod: state.Duration(h.StartPeriod), Retries: h.Retries,
	}
}

func portSet(ports []string) (nat.PortSet, error) {
	if len(ports) == 0 {
		return nil, nil
	}
	s := nat.PortSet{}
	for _, p := range ports {
		proto, port := nat.SplitProtoPort(p)
		parsed, err := nat.NewPort(proto, port)
		if err != nil {
			return nil, fmt.Errorf("%q is not a port such as 8080 or 8080/tcp", p)
		}
		s[parsed] = struct{}{}
	}
	return s, nil
}

func set(values []string) map[string]struct{} {
	if len(values) == 0 {
		return nil
	}
	s := make(map[string]struct{}, len(values))
	for _, v := range values {
		s[v] = struct{}{}
	}
	return s
}

// ContainerConfig is a client's request to create a container, links aside.
func ContainerConfig(s *state.Container) (*container.Config, *container.HostConfig, error) {
	policy, err := parseRestart(s.Restart)
	if err != nil {
		return nil, nil, err
	}
	exposed, err := portSet(s.Expose)
	if err != nil {
		return nil, nil, err
	}
	cfg := &container.Config{
		Image: s.Image, Cmd: s.Cmd, Entrypoint: s.Entrypoint, Env: slices.Clone(s.Env), Labels: maps.Clone(s.Labels), ExposedPorts: exposed,
		User: s.User, WorkingDir: s.WorkingDir, StopSignal: s.StopSignal, StopTimeout: s.StopTimeout, Healthcheck: healthConfig(s.Healthcheck),
	}
	host := &container.HostConfig{
		NetworkMode: container.NetworkMode(s.Mode), RestartPolicy: policy, PublishAllPorts: s.PublishAll, AutoRemove: s.AutoRemove,
		Binds: s.Binds, PortBindings: nat.PortMap{},
	}
	for _, p := range s.Publish {
		set, err := portSet([]string{p.Port})
		if err != nil {
			return nil, nil, err
		}
		for port := range set {
			published := ""
			if p.Host != 0 {
				published = strconv.Itoa(p.Host)
			}
			host.PortBindings[port] = append(host.PortBindings[port], nat.PortBinding{HostIP: p.HostIP, HostPort: published})
		}
	}
	if s.Mode == "" && len(s.Networks) > 0 {
		host.NetworkMode = container.NetworkMode(s.Networks[0].Network)
	}
	return cfg, host, nil
}

// parseRestart reads always, unless-stopped, on-failure, on-failure:3 and no.
func parseRestart(s string) (container.RestartPolicy, error) {
	name, count, counted := strings.Cut(s, ":")
	p := container.RestartPolicy{Name: container.RestartPolicyMode(name)}
	if counted {
		n, err := strconv.Atoi(count)
		if err != nil {
			return p, fmt.Errorf("restart: %q is not a number of retries", count)
		}
		p.MaximumRetryCount = n
	}
	return p, nil
}

// RestartText writes what parseRestart reads.
func RestartText(name string, count int) string {
	if count > 0 {
		return name + ":" + strconv.Itoa(count)
	}
	return name
}

// HasCheck says whether there is a health check that is not switched off.
func HasCheck(h *container.HealthConfig) bool {
	return h != nil && len(h.Test) > 0 && h.Test[0] != "NONE"
}

// PortNames returns the ports in order.
func PortNames(ports nat.PortSet) []string {
	all := make([]nat.Port, 0, len(ports))
	for p := range ports {
		all = append(all, p)
	}
	slices.SortFunc(all, ComparePorts)
	var out []string
	for _, p := range all {
		out = append(out, string(p))
	}
	return out
}

// ComparePorts orders ports by number, then by protocol.
func ComparePorts(a, b nat.Port) int {
	if a.Int() != b.Int() {
		return a.Int() - b.Int()
	}
	if a.Proto() < b.Proto() {
		return -1
	}
	return 1
}
