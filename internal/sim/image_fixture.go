package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
)

// defaultPath is the environment that a build starts from.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// newImage makes the image of a fixture.
func newImage(f *Image, now time.Time) (*image, error) {
	refs := f.Tags
	if f.Ref != "" {
		refs = append([]string{f.Ref}, f.Tags...)
	}
	i := &image{id: f.ID, parent: f.Parent, created: f.Created, tagged: now, behaviour: f.Behaviour}
	for _, r := range refs {
		ref, err := normalize(r)
		if err != nil {
			return nil, fmt.Errorf("image %q: %w", r, err)
		}
		if !slices.Contains(i.refs, ref) {
			i.refs = append(i.refs, ref)
		}
	}
	slices.Sort(i.refs)
	if i.created.IsZero() {
		i.created = epoch
	}
	var err error
	if i.config, err = f.Config(); err != nil {
		return nil, fmt.Errorf("image %q: %w", f.Ref, err)
	}
	for _, l := range f.Layers {
		i.layers = append(i.layers, &layer{diffID: l.DiffID, size: l.Size})
	}
	if i.layers == nil {
		l, err := textLayer("fixture", f.Ref+"\n")
		if err != nil {
			return nil, err
		}
		l.files = nil // a fixture does not say which programs it has
		i.layers = []*layer{l}
	}
	for n := range i.layers {
		i.history = append(i.history, historyEntry{Created: i.created, CreatedBy: fmt.Sprintf("fixture, layer %d", n+1)})
	}
	return i, i.seal()
}

// Config is the image's configuration, with what a fixture need not say.
func (f *Image) Config() (*container.Config, error) {
	exposed, err := portSet(f.Expose)
	if err != nil {
		return nil, fmt.Errorf("expose: %w", err)
	}
	c := &container.Config{
		ExposedPorts: exposed, Env: f.Env, Cmd: f.Cmd, Entrypoint: f.Entrypoint, Labels: f.Labels, User: f.User,
		WorkingDir: f.WorkingDir, StopSignal: f.StopSignal, Volumes: set(f.Volumes), Healthcheck: f.Healthcheck.api(),
	}
	if c.Env == nil {
		c.Env = []string{defaultPath}
	}
	if c.Cmd == nil && c.Entrypoint == nil {
		c.Cmd = []string{"/app"}
	}
	return c, nil
}

func (h *Healthcheck) api() *container.HealthConfig {
	if h == nil {
		return nil
	}
	return &container.HealthConfig{
		Test: h.Test, Interval: h.Interval.Std(), Timeout: h.Timeout.Std(), StartPeriod: h.StartPeriod.Std(), Retries: h.Retries,
	}
}

func healthcheckOf(h *container.HealthConfig) *Healthcheck {
	if h == nil {
		return nil
	}
	return &Healthcheck{
		Test: h.Test, Interval: Duration(h.Interval), Timeout: Duration(h.Timeout), StartPeriod: Duration(h.StartPeriod), Retries: h.Retries,
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
