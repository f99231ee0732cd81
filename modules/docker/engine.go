package docker

import (
	"context"
	"time"

	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

func connectFunc() runtime.Func {
	return runtime.Func{
		Name: "connect", Class: runtime.Read,
		Doc: "Connects to a Docker engine and asks for its version. Without a URL or a context it is the run's default engine. " +
			"tcp needs certificates, loopback excepted; ssh needs a key that the host takes without asking, and the host in known_hosts.",
		From: "GET /_ping", Returns: "the engine, whose methods are the functions of this module",
		Raises:  reads(failure.Invalid, failure.NotFound, failure.Denied),
		Example: `local prod = docker.connect("unix:///var/run/docker.sock")`,
		Call:    runtime.Effect((*Engine).connect),
	}
}

func engineFuncs() []runtime.Func {
	return []runtime.Func{
		{
			Name: "ping", Class: runtime.Read,
			Doc:  "Asks the engine whether it is there.",
			From: "GET /_ping", Returns: "what it says of itself", Raises: reads(),
			Example: `local api = docker.ping().api_version`,
			Call:    runtime.Effect((*Engine).ping),
		},
		{
			Name: "version", Class: runtime.Read,
			Doc:  "Asks for the engine's versions.",
			From: "GET /version", Returns: "the versions", Raises: reads(),
			Example: `local v = docker.version().version`,
			Call:    runtime.Effect((*Engine).version),
		},
		{
			Name: "info", Class: runtime.Read,
			Doc:  "Asks what the engine's machine is and what is on it.",
			From: "GET /info", Returns: "the engine's own account", Raises: reads(),
			Example: `local n = docker.info().running`,
			Call:    runtime.Effect((*Engine).info),
		},
		dfFunc(),
		eventsFunc(),
	}
}

// Engine is one Docker engine, as a recipe has it.
type Engine struct {
	world *servers.Clients
	ep    servers.DockerEndpoint
	allow Allow

	logins *logins // shared by the run's engines
}

// Endpoint returns where the engine is, for people.
func (e *Engine) Endpoint() string { return e.world.DockerName(e.ep) }

// Clock returns the clock on which its calls are bounded.
func (e *Engine) Clock() clock.Clock { return e.world.Clock() }

// String returns the endpoint.
func (e *Engine) String() string { return e.Endpoint() }

// read makes a call that changes nothing.
func (e *Engine) read(ctx context.Context, call func(context.Context, *client.Client) error) error {
	c, name, err := e.world.Docker(ctx, e.ep)
	if err != nil {
		return err
	}
	x := &servers.Exchange{Endpoint: name}
	return missing(x.Failure(ctx, call(x.Watch(ctx), c)))
}

// look says whether a call that was made has taken effect, and in a few words
// what it saw. An error means that it could not tell.
type look func(ctx context.Context) (done bool, saw string, err error)

// change makes a call that changes something. When its reply is lost, settle
// looks what became of it; nil leaves it unknown. An answer of 304 makes the
// effect unaltered.
func (e *Engine) change(ctx context.Context, call func(context.Context, *client.Client) error, settle look) error {
	c, name, err := e.world.Docker(ctx, e.ep)
	if err != nil {
		return err
	}
	x := &servers.Exchange{Endpoint: name, Mutates: true}
	err = missing(x.Failure(ctx, call(x.Watch(ctx), c)))
	switch {
	case err == nil && x.NotModified():
		effect.Unaltered(ctx)
		return nil
	case err == nil || !x.Sent() || settle == nil:
		return err
	}
	switch failure.KindOf(err) {
	case failure.Unknown, failure.Timeout, failure.Cancelled:
		return e.settle(ctx, err, settle)
	}
	return err
}

// The follow-up of a lost reply is bounded: afterwards the outcome is known, or unknown.
const (
	settleTime     = 5 * time.Second
	settleInterval = 250 * time.Millisecond
)

// settle looks until the call is seen to have taken effect, and returns lost
// when the time is up.
func (e *Engine) settle(ctx context.Context, lost error, settle look) error {
	patience := settleTime
	if ctx.Err() != nil { // the run or the call is out of time: someone waits
		patience = settleTime / 2
	}
	run, clk := ctx, e.world.Clock()
	ctx, cancel := clk.WithTimeout(context.WithoutCancel(run), patience, nil)
	defer cancel()
	end := clk.Now().Add(patience)
	late := run.Err() != nil
	saw := ""
	for clk.Now().Before(end) {
		look, over := clk.WithTimeout(ctx, settleTime/2, nil)
		done, what, err := settle(look)
		over()
		if done {
			effect.Note(ctx, "the reply was lost; a look shows that it was done")
			return nil
		}
		if err == nil {
			saw = what
		}
		if !late && run.Err() != nil { // out of time meanwhile
			break
		}
		if clk.Sleep(ctx, settleInterval) != nil {
			break
		}
	}
	if known := failure.As(lost); known != nil && saw != "" {
		e := *known
		e.State = saw
		return &e
	}
	return lost
}

type connectArgs struct {
	URL       string `lua:"url,pos,target" doc:"unix:///path, tcp://host:port or ssh://user@host"`
	Context   string `lua:"context" doc:"the name of a Docker context, in place of a URL"`
	CertPath  string `lua:"cert_path" doc:"a directory with ca.pem, cert.pem and key.pem"`
	CA        string `lua:"ca" doc:"the file of the CA that signed the engine's certificate; ca.pem of cert_path"`
	Cert      string `lua:"cert" doc:"the file of our certificate; cert.pem of cert_path"`
	Key       string `lua:"key" doc:"the file of its key; key.pem of cert_path"`
	TLSVerify bool   `lua:"tls_verify" doc:"TLS, the engine's certificate checked by the system's CAs; implied by any of the files"`
}

func (e *Engine) connect(ctx context.Context, a *connectArgs) (*Engine, error) {
	other := &Engine{world: e.world, allow: e.allow, logins: e.logins, ep: servers.DockerEndpoint{
		Host: a.URL, Context: a.Context, CertPath: a.CertPath, CA: a.CA, Cert: a.Cert, Key: a.Key, TLSVerify: a.TLSVerify,
	}}
	if _, _, err := e.world.Docker(ctx, other.ep); err != nil {
		return nil, err
	}
	return other, nil
}

// Ping is the engine's answer to a ping.
type Ping struct {
	APIVersion string `lua:"api_version" doc:"the newest API it speaks, such as 1.41"`
	OS         string `lua:"os" doc:"linux or windows"`
}

func (e *Engine) ping(ctx context.Context, _ *runtime.None) (p Ping, err error) {
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		got, err := c.Ping(ctx)
		p = Ping{APIVersion: got.APIVersion, OS: got.OSType}
		return err
	})
	return p, err
}

// Version is what an engine is.
type Version struct {
	Version       string `lua:"version" doc:"the engine's, such as 20.10.24"`
	APIVersion    string `lua:"api_version" doc:"the newest API it speaks"`
	MinAPIVersion string `lua:"min_api_version" doc:"the oldest API it speaks"`
	OS            string `lua:"os" doc:"linux or windows"`
	Arch          string `lua:"arch" doc:"such as amd64"`
	Kernel        string `lua:"kernel" doc:"the kernel's version"`
}

func (e *Engine) version(ctx context.Context, _ *runtime.None) (v Version, err error) {
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		got, err := c.ServerVersion(ctx)
		v = Version{
			Version: got.Version, APIVersion: got.APIVersion, MinAPIVersion: got.MinAPIVersion,
			OS: got.Os, Arch: got.Arch, Kernel: got.KernelVersion,
		}
		return err
	})
	return v, err
}

// Info is the engine's account of itself.
type Info struct {
	ID         string       `lua:"id" doc:"the engine's own, which stays over restarts"`
	Name       string       `lua:"name" doc:"its machine's host name"`
	Version    string       `lua:"version" doc:"the engine's version"`
	Containers int          `lua:"containers" doc:"how many there are"`
	Running    int          `lua:"running" doc:"how many of them run"`
	Images     int          `lua:"images" doc:"how many there are"`
	Store      string       `lua:"store" doc:"where images are: graphdriver (the classic store) or containerd"`
	CPUs       int          `lua:"cpus" doc:"the machine's"`
	Memory     runtime.Size `lua:"memory" doc:"the machine's, in bytes"`
}

func (e *Engine) info(ctx context.Context, _ *runtime.None) (i Info, err error) {
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		got, err := c.Info(ctx)
		i = Info{
			ID: got.ID, Name: got.Name, Version: got.ServerVersion, Containers: got.Containers, Running: got.ContainersRunning,
			Images: got.Images, Store: "graphdriver", CPUs: got.NCPU, Memory: runtime.Size(got.MemTotal),
		}
		if containerdStore(&got) {
			i.Store = "containerd"
		}
		return err
	})
	return i, err
}
