package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/effect"
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
			"It is labelled with the run that creates it, mepc.run, and the token of its lock, mepc.fence. " +
			"What would make a recipe root on the engine's machine (privileged, its network, processes, devices, / or the engine's socket) needs the operator's --allow.",
		From: "POST /containers/create, and POST /networks/{id}/connect for each of networks", Returns: "the new container",
		Raises:  writes(failure.Invalid, failure.NotFound, failure.Conflict, failure.Denied),
		Example: `docker.create{name = "app-blue", image = "mepc/app:1.1", expose = {"8080"}, links = {"db:db"}}`,
		Call:    runtime.Effect((*Engine).create),
	}
}

type createArgs struct {
	Name        string               `lua:"name,required,target" doc:"its name: two or more of a-z, A-Z, 0-9, _, . and -, the first a letter or a digit"`
	Image       string               `lua:"image,required" doc:"the image's name or ID"`
	Cmd         []string             `lua:"cmd" doc:"the command, in place of the image's"`
	Entrypoint  []string             `lua:"entrypoint" doc:"the entry point, in place of the image's, whose command is then dropped"`
	Env         map[string]string    `lua:"env,secret" doc:"environment variables; values may be secrets"`
	Labels      map[string]string    `lua:"labels" doc:"labels"`
	Expose      []string             `lua:"expose" doc:"ports it listens on, such as 8080 or 53/udp"`
	Ports       []string             `lua:"ports" doc:"ports to publish on the engine's machine, as docker run -p takes them: 8080:80, 127.0.0.1::80, 53:53/udp"`
	Links       []string             `lua:"links" doc:"running containers it finds by another name: db:db is container:alias"`
	PublishAll  bool                 `lua:"publish_all" doc:"publish every exposed port as one that the engine chooses"`
	Network     string               `lua:"network" doc:"the network it is in: bridge, none, container:NAME or one of network_create; the engine's default when not given"`
	Aliases     []string             `lua:"aliases" doc:"further names by which others in the network find it; not in the default network"`
	IP          string               `lua:"ip" doc:"its address in the network, which must have a subnet of its own; the engine chooses when not given"`
	Networks    map[string]placeArgs `lua:"networks" doc:"further networks it is put into, by name, each as {aliases = {...}, ip = ...}"`
	ExtraHosts  []string             `lua:"extra_hosts" doc:"lines for /etc/hosts: name:address"`
	DNS         []string             `lua:"dns" doc:"the addresses of its name servers; the engine's own when not given"`
	DNSSearch   []string             `lua:"dns_search" doc:"the domains in which it looks for short names"`
	DNSOptions  []string             `lua:"dns_options" doc:"options of its resolver, such as ndots:1"`
	Volumes     []string             `lua:"volumes" doc:"what is mounted, as docker run -v takes it: volume:/path, /host/path:/path:ro, /path"`
	Mounts      []mountArgs          `lua:"mounts" doc:"what is mounted, one by one; unlike with volumes, a directory that is not there is an error"`
	TmpFS       map[string]string    `lua:"tmpfs" doc:"directories in memory, by path, with their options, such as size=64m"`
	Restart     string               `lua:"restart" default:"no" doc:"no, always, unless-stopped, on-failure or on-failure:5"`
	AutoRemove  bool                 `lua:"auto_remove" doc:"remove it when it ends"`
	User        string               `lua:"user" doc:"user and group it runs as, such as 1000:1000"`
	Groups      []string             `lua:"groups" doc:"further groups it is in"`
	WorkingDir  string               `lua:"working_dir" doc:"the directory it starts in"`
	Hostname    string               `lua:"hostname" doc:"its own host name; the ID's first 12 digits when not given"`
	Domainname  string               `lua:"domainname" doc:"its own domain"`
	StopSignal  string               `lua:"stop_signal" doc:"what stop sends; SIGTERM or what the image says when not given"`
	StopTimeout *time.Duration       `lua:"stop_timeout" doc:"how long stop waits before SIGKILL; 10s when not given"`
	Healthcheck *healthcheck         `lua:"healthcheck" doc:"a health check, in place of the image's"`
	Log         *logConfig           `lua:"log" doc:"where its output goes; the engine's default when not given"`
	TTY         bool                 `lua:"tty" doc:"give it a terminal"`
	OpenStdin   bool                 `lua:"open_stdin" doc:"keep its input open, even with nothing attached"`
	Init        bool                 `lua:"init" doc:"run a small init that reaps processes and passes signals on"`
	ReadOnly    bool                 `lua:"read_only" doc:"mount its root read-only"`
	resources
	protection
}

// resources are a container's limits.
type resources struct {
	Memory            runtime.Size      `lua:"memory" doc:"the most memory it may use; 6MiB at least"`
	MemorySwap        runtime.Size      `lua:"memory_swap" doc:"the most memory and swap together; twice the memory when not given"`
	MemoryReservation runtime.Size      `lua:"memory_reservation" doc:"what it is held to while memory is short"`
	ShmSize           runtime.Size      `lua:"shm_size" doc:"how large /dev/shm is; 64MiB when not given"`
	CPUs              float64           `lua:"cpus" min:"0" max:"100000" doc:"how many CPUs it may use, such as 1.5"`
	CPUShares         int               `lua:"cpu_shares" min:"0" max:"262144" doc:"its weight against others when CPUs are short; 1024 when not given"`
	CPUSet            string            `lua:"cpuset" doc:"the CPUs that it may use, such as 0-2 or 0,3"`
	PIDsLimit         int               `lua:"pids_limit" min:"-1" doc:"how many processes it may have; -1: any number"`
	Ulimits           map[string]string `lua:"ulimits" doc:"limits of its processes, as soft or soft:hard, such as {nofile = \"1024:4096\"}"`
}

// protection is what stands between a container and the engine's machine.
type protection struct {
	CapDrop     []string          `lua:"cap_drop" doc:"capabilities that it does not get, such as NET_RAW or ALL"`
	CapAdd      []string          `lua:"cap_add" doc:"capabilities beyond the usual; needs --allow cap-add"`
	SecurityOpt []string          `lua:"security_opt" doc:"no-new-privileges; anything else, such as seccomp=unconfined, needs --allow security-opt"`
	Devices     []string          `lua:"devices" doc:"devices of the machine, as docker run --device takes them: /dev/fuse, /dev/a:/dev/b:rw; needs --allow devices"`
	Sysctls     map[string]string `lua:"sysctls" doc:"kernel parameters of its own namespaces, such as {[\"net.core.somaxconn\"] = \"1024\"}"`
	PID         string            `lua:"pid" doc:"whose processes it sees: its own when not given, container:NAME, or host, which needs --allow host-pid"`
	IPC         string            `lua:"ipc" doc:"whose memory segments it shares: private, shareable, none, container:NAME, or host, which needs --allow host-ipc"`
	Privileged  bool              `lua:"privileged" doc:"no isolation from the engine's machine; needs --allow privileged"`
}

// placeArgs is a container's place in a further network.
type placeArgs struct {
	Aliases []string `lua:"aliases" doc:"further names by which others in the network find it"`
	IP      string   `lua:"ip" doc:"its address; the engine chooses when not given"`
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
	for _, err := range []error{checkEnv(a.Env), checkIP("ip", a.IP), a.checkPlaces(), checkCPUSet(a.CPUSet)} {
		if err != nil {
			return err
		}
	}
	_, _, _, err := a.configs()
	return err
}

// checkEnv refuses what cannot be the name of a variable.
func checkEnv(env map[string]string) error {
	for k, v := range env {
		if k == "" || strings.ContainsAny(k, "=\x00") {
			return fmt.Errorf("env: %q is not a variable's name", k)
		}
		if strings.Contains(v, "\x00") {
			return fmt.Errorf("env.%s: it holds a zero byte, which a variable cannot", k)
		}
	}
	return nil
}

func checkIP(option, ip string) error {
	if ip == "" {
		return nil
	}
	if _, err := netip.ParseAddr(ip); err != nil {
		return fmt.Errorf("%s: %q is not an address", option, ip)
	}
	return nil
}

// checkPlaces refuses addresses where no network of its own gives one, and a
// network that is named twice.
func (a *createArgs) checkPlaces() error {
	own := a.Network != "" && container.NetworkMode(a.Network).IsUserDefined()
	if a.IP != "" && !own {
		return errors.New("ip: only a network made by network_create gives it; name one with network=")
	}
	for _, name := range slices.Sorted(maps.Keys(a.Networks)) {
		if err := checkRef("networks", name); err != nil {
			return err
		}
		if name == a.Network {
			return fmt.Errorf("networks.%s: it is the one of network=, too", name)
		}
		if err := checkIP("networks."+name+".ip", a.Networks[name].IP); err != nil {
			return err
		}
	}
	return nil
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

// warned shows what the engine warns of, of which a recipe rarely asks.
func warned(ctx context.Context, warnings []string) {
	if len(warnings) > 0 {
		effect.Note(ctx, "the engine warns: "+strings.Join(warnings, "; "))
	}
}

func (e *Engine) create(ctx context.Context, a *createArgs) (*Created, error) {
	if err := e.allowed(a); err != nil {
		return nil, err
	}
	cfg, host, nets, err := a.configs()
	if err != nil {
		return nil, failure.New(failure.Invalid, "%s", err.Error())
	}
	call := e.world.Draw()
	for name, value := range effect.Labels(ctx) {
		cfg.Labels[name] = value
	}
	cfg.Labels[callLabel] = call
	out := &Created{Name: a.Name}
	err = e.change(ctx, func(ctx context.Context, c *client.Client) error {
		resp, err := c.ContainerCreate(ctx, cfg, host, nets, nil, a.Name)
		out.ID, out.Warnings = resp.ID, resp.Warnings
		warned(ctx, resp.Warnings)
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
	return out, e.join(ctx, out, a)
}

// join puts a new container into its further networks: older engines take only
// one at create. One that cannot be put where it belongs is removed again.
func (e *Engine) join(ctx context.Context, made *Created, a *createArgs) error {
	for _, name := range slices.Sorted(maps.Keys(a.Networks)) {
		p := a.Networks[name]
		_, err := e.networkConnect(ctx, &networkConnectArgs{Network: name, Container: made.ID, Aliases: p.Aliases, IP: p.IP})
		if err == nil {
			continue
		}
		_, undone := e.remove(context.WithoutCancel(ctx), &removeArgs{Container: made.ID, Volumes: true})
		if f := failure.As(err); f != nil {
			f.Message = "put it into the network " + name + ": " + f.Message
			if f.State = a.Name + " was removed again"; undone != nil {
				f.State = a.Name + " is created, in some of its networks; it could not be removed: " + undone.Error()
			}
		}
		return err
	}
	return nil
}
