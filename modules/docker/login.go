package docker

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func loginFunc() runtime.Func {
	return runtime.Func{
		Name: "login", Class: runtime.Read,
		Doc: "Lets the engine try credentials at a registry, so that wrong ones are known before a long push. " +
			"Given ones hold for the rest of the run, and are stored nowhere; without a user those of docker login are tried, from its config.json or a credential helper. " +
			"A rehearsal tries none, and its plan says so.",
		From: "POST /auth", Returns: "nothing",
		Raises:  reads(failure.Invalid),
		Example: `docker.login("registry.example.com", {username = "ci", password = secret("registry")})`,
		Call:    runtime.Effect((*Engine).login),
	}
}

type loginArgs struct {
	Registry string `lua:"registry,pos,target" default:"docker.io" doc:"its host, with a port where it has another than 443"`
	Username string `lua:"username" doc:"who logs in"`
	Password string `lua:"password,secret" doc:"the password or the token; may be a secret"`
}

func (a *loginArgs) Validate() error {
	if (a.Username == "") != (a.Password == "") {
		return errors.New("username and password are given together, or neither is")
	}
	named, err := reference.ParseNormalizedNamed(a.Registry + "/x")
	if err != nil || reference.Domain(named) != a.Registry {
		return failure.New(failure.Invalid, "registry: %q is not a registry's host, such as registry.example.com:5000", a.Registry)
	}
	return nil
}

// Op shows no password, not even one that came as text.
func (a *loginArgs) Op(op *effect.Op) {
	op.Target = a.Registry
	for i := range op.Args {
		if op.Args[i].Name == "password" {
			op.Args[i].Value = "[secret]"
		}
	}
}

// logins are the credentials that the run was given, by the registry's domain.
type logins struct {
	mu    sync.Mutex
	known map[string]string // the header
}

func (l *logins) get(domain string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known[domain]
}

func (l *logins) set(domain, header string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[string]string{}
	}
	l.known[domain] = header
}

func (e *Engine) login(ctx context.Context, a *loginArgs) (runtime.None, error) {
	cfg := &registry.AuthConfig{Username: a.Username, Password: a.Password}
	if a.Username == "" {
		header, err := e.world.RegistryAuth(a.Registry)
		if err != nil {
			return runtime.None{}, err
		}
		if header == "" {
			return runtime.None{}, failure.New(failure.Auth, "there are no credentials for %s", a.Registry).
				WithHint("log in with docker login where mepc-run runs, or give username and password")
		}
		if cfg, err = registry.DecodeAuthConfig(header); err != nil {
			return runtime.None{}, failure.Wrap(failure.Auth, err, "the credentials for %s", a.Registry)
		}
	}
	cfg.ServerAddress = a.Registry
	if a.Registry == "docker.io" {
		cfg.ServerAddress = "https://index.docker.io/v1/"
	}
	var token string
	err := e.read(ctx, func(ctx context.Context, c *client.Client) error {
		said, err := c.RegistryLogin(ctx, *cfg)
		token = said.IdentityToken
		return err
	})
	if err != nil {
		return runtime.None{}, loginFailed(err, a.Registry)
	}
	if token != "" {
		cfg.Password, cfg.IdentityToken = "", token
	}
	header, err := registry.EncodeAuthConfig(*cfg)
	if err != nil {
		return runtime.None{}, failure.Wrap(failure.Invalid, err, "the credentials for %s", a.Registry)
	}
	e.logins.set(a.Registry, header)
	return runtime.None{}, nil
}

func loginFailed(err error, host string) error {
	f := failure.As(err)
	if f == nil {
		return err
	}
	text := strings.ToLower(f.Message)
	switch {
	case strings.Contains(text, "unauthorized"), strings.Contains(text, "denied"), strings.Contains(text, "incorrect username"), strings.Contains(text, "authentication required"):
		f.Kind = failure.Auth
		f.Hint = host + " does not take this user and password"
	case strings.Contains(text, "dial tcp"), strings.Contains(text, "no such host"), strings.Contains(text, "connection refused"), strings.Contains(text, "timeout"):
		f.Kind = failure.Unavailable
		f.Hint = "the engine's machine, not this one, must reach the registry"
	}
	return f
}
