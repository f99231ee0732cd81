package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/go-connections/nat"

	"github.com/mepc/mepc-run/runtime"
)

// serviceSpec is what a service can be given: in create all of it, in an update
// what is to be changed.
type serviceSpec struct {
	Image           string            `lua:"image" doc:"the image of its tasks; each node must have it, or be able to pull it"`
	Replicas        *int              `lua:"replicas" min:"0" max:"100000" doc:"how many tasks it has; 1 when not given"`
	Global          *bool             `lua:"global" doc:"a task on each node, in place of replicas; not to be changed later"`
	Cmd             []string          `lua:"cmd" doc:"the command, in place of the image's"`
	Entrypoint      []string          `lua:"entrypoint" doc:"the entry point, in place of the image's"`
	Env             map[string]string `lua:"env,secret" doc:"environment variables; values may be secrets, which docker service inspect shows: better are secrets"`
	Labels          map[string]string `lua:"labels" doc:"labels of the service; in an update they are added, and an empty value takes one away"`
	ContainerLabels map[string]string `lua:"container_labels" doc:"labels of its containers"`
	Ports           []string          `lua:"ports" doc:"ports to publish, as docker run -p takes them, without an address: 8080:80, 53:53/udp"`
	PublishMode     string            `lua:"publish_mode" enum:"ingress|host" default:"ingress" doc:"where: on every node, which passes on to the tasks, or on the nodes of the tasks"`
	Networks        []string          `lua:"networks" doc:"networks that its tasks are in: overlay ones, of docker.network_create"`
	Mounts          []mountArgs       `lua:"mounts" doc:"what is mounted"`
	Secrets         []string          `lua:"secrets" doc:"secrets that its tasks find in /run/secrets, as name or name:file"`
	Configs         []string          `lua:"configs" doc:"configs that its tasks find, as name, which is the file /name, or name:/path"`
	Constraints     []string          `lua:"constraints" doc:"which nodes its tasks may be on, such as node.role == worker or node.labels.zone == a"`
	Healthcheck     *healthcheck      `lua:"healthcheck" doc:"a health check, in place of the image's; until it passes a task does not count as running"`
	User            string            `lua:"user" doc:"user and group they run as, such as 1000:1000"`
	WorkingDir      string            `lua:"working_dir" doc:"the directory they start in"`
	Hostname        string            `lua:"hostname" doc:"their host name"`
	StopSignal      string            `lua:"stop_signal" doc:"what ends them; SIGTERM or what the image says when not given"`
	StopTimeout     *time.Duration    `lua:"stop_timeout" doc:"how long they may take to end; 10s when not given"`
	Memory          runtime.Size      `lua:"memory" doc:"the most memory that each may use"`
	CPUs            float64           `lua:"cpus" min:"0" max:"100000" doc:"how many CPUs each may use, such as 1.5"`
	Restart         *restartArgs      `lua:"restart" doc:"what is done when a task ends"`
	Update          *rolloutArgs      `lua:"update" doc:"how tasks are replaced when the service is changed"`
	Rollback        *rolloutArgs      `lua:"rollback" doc:"how they are replaced when it is rolled back"`
}

// rolloutArgs say how tasks are replaced.
type rolloutArgs struct {
	Parallelism     int           `lua:"parallelism" default:"1" min:"0" doc:"how many at a time; 0: all"`
	Delay           time.Duration `lua:"delay" default:"0s" min:"0" doc:"the time between one batch and the next"`
	Monitor         time.Duration `lua:"monitor" default:"5s" min:"0" doc:"how long after its start a task's failure counts"`
	FailureAction   string        `lua:"failure_action" enum:"pause|continue|rollback" default:"pause" doc:"what a failure does; a rollback cannot be rolled back"`
	MaxFailureRatio float64       `lua:"max_failure_ratio" default:"0" min:"0" max:"1" doc:"which share of the tasks may fail before that"`
	Order           string        `lua:"order" enum:"stop-first|start-first" default:"stop-first" doc:"whether the old task is stopped before the new one is started, or after it runs"`
}

func (a *rolloutArgs) config() *swarm.UpdateConfig {
	return &swarm.UpdateConfig{
		Parallelism: uint64(a.Parallelism), Delay: a.Delay, Monitor: a.Monitor, FailureAction: a.FailureAction,
		MaxFailureRatio: float32(a.MaxFailureRatio), Order: a.Order,
	}
}

// restartArgs say what is done when a task ends.
type restartArgs struct {
	Condition   string        `lua:"condition" enum:"any|on-failure|none" default:"any" doc:"when another one takes its place"`
	Delay       time.Duration `lua:"delay" default:"5s" min:"0" doc:"after how long"`
	MaxAttempts int           `lua:"max_attempts" default:"0" min:"0" doc:"how often; 0: without end"`
}

func (s *serviceSpec) check(name string) error {
	if err := checkRef("service", name); err != nil {
		return err
	}
	if s.Global != nil && *s.Global && s.Replicas != nil {
		return errors.New("global and replicas exclude each other")
	}
	if s.Rollback != nil && s.Rollback.FailureAction == "rollback" {
		return errors.New("rollback.failure_action: a rollback cannot be rolled back")
	}
	if err := checkEnv(s.Env); err != nil {
		return err
	}
	if _, err := s.ports(); err != nil {
		return err
	}
	for _, m := range s.Mounts {
		if _, err := m.mount(); err != nil {
			return fmt.Errorf("mounts: %w", err)
		}
	}
	_, err := s.Healthcheck.config()
	return err
}

func (s *serviceSpec) ports() (list []swarm.PortConfig, err error) {
	for _, p := range s.Ports {
		mappings, err := nat.ParsePortSpec(p)
		if err != nil {
			return nil, fmt.Errorf("ports: %w", err)
		}
		for _, m := range mappings {
			if m.Binding.HostIP != "" {
				return nil, fmt.Errorf("ports: %q has an address: a service is published on all of a node's", p)
			}
			host, err := nat.ParsePort(m.Binding.HostPort)
			if err != nil {
				return nil, fmt.Errorf("ports: %q: the port is one, or none for one that the swarm picks", p)
			}
			list = append(list, swarm.PortConfig{
				Protocol: swarm.PortConfigProtocol(m.Port.Proto()), TargetPort: uint32(m.Port.Int()), PublishedPort: uint32(host),
				PublishMode: swarm.PortConfigPublishMode(s.PublishMode),
			})
		}
	}
	return list, nil
}

// mode sets how many tasks there are.
func (s *serviceSpec) mode(spec *swarm.ServiceSpec) error {
	switch {
	case s.Global != nil && *s.Global:
		spec.Mode = swarm.ServiceMode{Global: &swarm.GlobalService{}}
	case s.Replicas != nil && spec.Mode.Global != nil:
		return fmt.Errorf("%s has a task on each node, and no replicas", spec.Name)
	case s.Replicas != nil:
		n := uint64(*s.Replicas)
		spec.Mode = swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &n}}
	case spec.Mode.Global == nil && spec.Mode.Replicated == nil:
		n := uint64(1)
		spec.Mode = swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &n}}
	}
	return nil
}

// applySpec changes spec to what is given.
func (e *Engine) applySpec(ctx context.Context, s *serviceSpec, spec *swarm.ServiceSpec) error {
	if err := s.mode(spec); err != nil {
		return err
	}
	for k, v := range s.Labels {
		if spec.Labels[k] = v; v == "" {
			delete(spec.Labels, k)
		}
	}
	if err := s.container(spec.TaskTemplate.ContainerSpec); err != nil {
		return err
	}
	if err := e.allowedMounts(s.Mounts); err != nil {
		return err
	}
	if err := e.files(ctx, s, spec.TaskTemplate.ContainerSpec); err != nil {
		return err
	}
	task := &spec.TaskTemplate
	if s.Networks != nil {
		task.Networks = nil
		for _, name := range s.Networks {
			if name == "host" && !e.allow.HostNetwork {
				return denied("host-network", "a service in its machines' own network")
			}
			n, err := e.getNetwork(ctx, name)
			if err != nil {
				return err
			}
			task.Networks = append(task.Networks, swarm.NetworkAttachmentConfig{Target: n.ID})
		}
	}
	if s.Constraints != nil {
		task.Placement = orNew(task.Placement)
		task.Placement.Constraints = s.Constraints
	}
	if s.Memory > 0 || s.CPUs > 0 {
		task.Resources = orNew(task.Resources)
		task.Resources.Limits = orNew(task.Resources.Limits)
		task.Resources.Limits.MemoryBytes = cmp.Or(int64(s.Memory), task.Resources.Limits.MemoryBytes)
		task.Resources.Limits.NanoCPUs = cmp.Or(int64(s.CPUs*1e9), task.Resources.Limits.NanoCPUs)
	}
	if r := s.Restart; r != nil {
		attempts := uint64(r.MaxAttempts)
		task.RestartPolicy = &swarm.RestartPolicy{Condition: swarm.RestartPolicyCondition(r.Condition), Delay: &r.Delay, MaxAttempts: &attempts}
	}
	if s.Update != nil {
		spec.UpdateConfig = s.Update.config()
	}
	if s.Rollback != nil {
		spec.RollbackConfig = s.Rollback.config()
	}
	if s.Ports != nil {
		ports, err := s.ports()
		if err != nil {
			return err
		}
		spec.EndpointSpec = orNew(spec.EndpointSpec)
		spec.EndpointSpec.Ports = ports
	}
	return nil
}

// orNew returns p, or a new one where there is none: the engine adds to what it is
// given, and what it added stays.
func orNew[T any](p *T) *T {
	if p == nil {
		return new(T)
	}
	return p
}

// container sets what is the containers' own.
func (s *serviceSpec) container(c *swarm.ContainerSpec) error {
	for _, text := range []struct {
		given string
		to    *string
	}{
		{s.Image, &c.Image}, {s.User, &c.User}, {s.WorkingDir, &c.Dir}, {s.Hostname, &c.Hostname}, {s.StopSignal, &c.StopSignal},
	} {
		if text.given != "" {
			*text.to = text.given
		}
	}
	if s.Cmd != nil {
		c.Args = s.Cmd
	}
	if s.Entrypoint != nil {
		c.Command = s.Entrypoint
	}
	if s.Env != nil {
		c.Env = envList(s.Env)
	}
	if s.ContainerLabels != nil {
		c.Labels = maps.Clone(s.ContainerLabels)
	}
	if s.StopTimeout != nil {
		c.StopGracePeriod = s.StopTimeout
	}
	if s.Healthcheck != nil {
		h, err := s.Healthcheck.config()
		if err != nil {
			return err
		}
		c.Healthcheck = h
	}
	if s.Mounts != nil {
		list, err := mountList(s.Mounts)
		if err != nil {
			return err
		}
		c.Mounts = slices.Clip(append([]mount.Mount(nil), list...))
	}
	return nil
}

// files finds the secrets and configs by their names.
func (e *Engine) files(ctx context.Context, s *serviceSpec, c *swarm.ContainerSpec) error {
	if s.Secrets != nil {
		c.Secrets = nil
		for _, given := range s.Secrets {
			name, file, ok := strings.Cut(given, ":")
			if !ok {
				file = name
			}
			found, err := e.secretNamed(ctx, name)
			if err != nil {
				return err
			}
			c.Secrets = append(c.Secrets, &swarm.SecretReference{
				SecretID: found.ID, SecretName: found.Name, File: &swarm.SecretReferenceFileTarget{Name: file, UID: "0", GID: "0", Mode: fileMode},
			})
		}
	}
	if s.Configs != nil {
		c.Configs = nil
		for _, given := range s.Configs {
			name, file, ok := strings.Cut(given, ":")
			if !ok {
				file = "/" + name
			}
			found, err := e.configNamed(ctx, name)
			if err != nil {
				return err
			}
			c.Configs = append(c.Configs, &swarm.ConfigReference{
				ConfigID: found.ID, ConfigName: found.Name, File: &swarm.ConfigReferenceFileTarget{Name: file, UID: "0", GID: "0", Mode: fileMode},
			})
		}
	}
	return nil
}

// fileMode is that of secrets and configs, as of docker service create.
const fileMode = fs.FileMode(0o444)
