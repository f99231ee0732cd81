package servers

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/connhelper/ssh"
	ctxdocker "github.com/docker/cli/cli/context/docker"
	"github.com/docker/cli/cli/context/store"
	"github.com/docker/go-connections/tlsconfig"

	"github.com/mepc/mepc-run/internal/failure"
)

const (
	defaultSocket  = "unix:///var/run/docker.sock"
	defaultContext = "default" // the docker CLI's name for what is no context
	endpointHint   = "an endpoint is written unix:///var/run/docker.sock, tcp://10.0.0.5:2376 (with TLS) or ssh://user@host"
)

// target is an endpoint with every question answered.
type target struct {
	name string      // for people
	url  string      // for the client: unix, tcp, or what stands for an ssh host
	ssh  string      // the ssh URL, for ssh
	tls  *tls.Config // nil: none

	asked DockerEndpoint // that it answers
}

// resolveDocker finds the engine as the docker CLI does: what the call says,
// what the command line says, DOCKER_HOST, DOCKER_CONTEXT, the current context
// of config.json, the platform's default.
func (w *Clients) resolveDocker(ep DockerEndpoint) (target, error) {
	if ep == (DockerEndpoint{}) {
		ep = w.opts.Docker
	}
	if ep.Host != "" && ep.Context != "" {
		return target{}, failure.New(failure.Invalid, "both an engine's URL (%s) and a Docker context (%s) are given", ep.Host, ep.Context)
	}
	if ep.Host == "" {
		ctx, err := w.dockerContext(ep)
		if err != nil {
			return target{}, err
		}
		if ctx != "" && ctx != defaultContext {
			return w.contextTarget(ctx)
		}
		ep.Host = w.opts.Getenv("DOCKER_HOST")
		if ep.Host == "" {
			ep.Host = defaultSocket
		}
	}
	return w.hostTarget(ep)
}

// dockerContext returns the name of the context to use, or "" for none.
func (w *Clients) dockerContext(ep DockerEndpoint) (string, error) {
	switch {
	case ep.Context != "":
		return ep.Context, nil
	case w.opts.Getenv("DOCKER_HOST") != "":
		return "", nil
	case w.opts.Getenv("DOCKER_CONTEXT") != "":
		return w.opts.Getenv("DOCKER_CONTEXT"), nil
	}
	cfg, err := w.dockerConfig()
	if err != nil {
		return "", err
	}
	return cfg.CurrentContext, nil
}

// dockerDir returns the docker CLI's directory: DOCKER_CONFIG or ~/.docker. It
// is "" where there is no home.
func (w *Clients) dockerDir() string {
	if dir := w.opts.Getenv("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	if home := w.opts.Getenv("HOME"); home != "" {
		return filepath.Join(home, ".docker")
	}
	return ""
}

// dockerConfig reads config.json; a missing one is empty.
func (w *Clients) dockerConfig() (*configfile.ConfigFile, error) {
	dir := w.dockerDir()
	if dir == "" {
		return configfile.New(""), nil
	}
	cfg, err := config.Load(dir)
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err, "read the Docker configuration").
			WithHint("repair %s, or name the engine with --docker", filepath.Join(dir, config.ConfigFileName))
	}
	return cfg, nil
}

// contextTarget reads a Docker context from the CLI's store.
func (w *Clients) contextTarget(name string) (target, error) {
	if w.dockerDir() == "" {
		return target{}, failure.New(failure.NotFound, "Docker context %q: there is no directory with contexts here", name).
			WithHint("name the engine by its URL; contexts are read from DOCKER_CONFIG or ~/.docker")
	}
	dir := filepath.Join(w.dockerDir(), "contexts")
	contexts := store.New(dir, store.NewConfig(
		func() any { return &map[string]any{} },
		store.EndpointTypeGetter(ctxdocker.DockerEndpoint, func() any { return &ctxdocker.EndpointMeta{} }),
	))
	bad := func(err error) (target, error) {
		kind := failure.Invalid
		if isNotFound(err) {
			kind = failure.NotFound
		}
		return target{}, failure.Wrap(kind, err, "Docker context %q", name).
			WithHint("`docker context ls` lists the contexts; they are read from %s", dir)
	}
	meta, err := contexts.GetMetadata(name)
	if err != nil {
		return bad(err)
	}
	epMeta, err := ctxdocker.EndpointFromContext(meta)
	if err != nil {
		return bad(err)
	}
	full, err := ctxdocker.WithTLSData(contexts, name, epMeta)
	if err != nil {
		return bad(err)
	}
	if full.Host == "" {
		full.Host = defaultSocket
	}
	t, err := parseEndpoint(full.Host, full.TLSData != nil || full.SkipTLSVerify)
	if err != nil {
		return bad(err)
	}
	if t.isTCP() && (full.TLSData != nil || full.SkipTLSVerify) {
		opts := tlsOptions{skipVerify: full.SkipTLSVerify}
		if full.TLSData != nil {
			opts.ca, opts.cert, opts.key = full.TLSData.CA, full.TLSData.Cert, full.TLSData.Key
		}
		if t.tls, err = opts.config(); err != nil {
			return bad(err)
		}
	}
	t.name += " (context " + name + ")"
	return t, w.allowed(t)
}

// hostTarget reads a URL and finds the certificates that go with it.
func (w *Clients) hostTarget(ep DockerEndpoint) (target, error) {
	opts, err := w.tlsFor(ep)
	if err != nil {
		return target{}, err
	}
	t, err := parseEndpoint(ep.Host, opts != nil)
	if err != nil {
		return target{}, err
	}
	if t.isTCP() && opts != nil {
		if t.tls, err = opts.config(); err != nil {
			return target{}, failure.Wrap(failure.Auth, err, "certificates for %s", t.name)
		}
	}
	return t, w.allowed(t)
}

func (t target) isTCP() bool { return strings.HasPrefix(t.url, "tcp://") }

// parseEndpoint checks an endpoint's URL and completes it.
func parseEndpoint(host string, withTLS bool) (target, error) {
	bad := func(format string, args ...any) (target, error) {
		return target{}, failure.New(failure.Invalid, format, args...).WithHint("%s", endpointHint)
	}
	scheme, rest, ok := strings.Cut(host, "://")
	if !ok {
		return bad("%q is not an engine's URL: it has no scheme", host)
	}
	u, err := url.Parse(host)
	if err != nil {
		return bad("%q is not an engine's URL: %v", host, errors.Unwrap(err))
	}
	switch scheme {
	case "unix":
		if rest == "" {
			host = defaultSocket
		}
		return target{name: host, url: host}, nil
	case "tcp":
		if u.Hostname() == "" {
			return bad("%q is not an engine's URL: it names no host", host)
		}
		if u.Port() == "" {
			port := "2375"
			if withTLS {
				port = "2376"
			}
			u.Host = net.JoinHostPort(u.Hostname(), port)
		}
		return target{name: u.Redacted(), url: u.String()}, nil
	case "ssh":
		if _, err := ssh.ParseURL(host); err != nil {
			return bad("%s is not an engine's URL: %v", u.Redacted(), err)
		}
		// The connection is the standard input and output of a command; the URL
		// only goes into requests' Host headers.
		return target{name: host, url: "tcp://docker.invalid", ssh: host}, nil
	case "http", "https":
		return bad("%q is not an engine's URL: write tcp://%s", host, u.Host)
	}
	return bad("%q is not an engine's URL: the scheme %q is not known", host, scheme)
}

// allowed refuses engines that anyone on the way could take over.
func (w *Clients) allowed(t target) error {
	if !t.isTCP() || t.ssh != "" || w.opts.InsecureTCP || (t.tls != nil && !t.tls.InsecureSkipVerify) {
		return nil
	}
	u, err := url.Parse(t.url)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback()) {
		return nil
	}
	what := "over tcp without TLS"
	if t.tls != nil {
		what = "whose certificate is not checked"
	}
	return failure.New(failure.Denied, "the engine at %s is refused: it is reached %s, and whoever is on the way is root on its machine", t.name, what).
		WithHint("give certificates (DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH), use ssh://, or allow it with --insecure-docker")
}

// tlsOptions are certificates in PEM.
type tlsOptions struct {
	ca, cert, key []byte
	skipVerify    bool
}

// tlsFor finds the TLS settings for ep: its own, else the environment's, which
// hold for every tcp endpoint, as with the docker CLI. It returns nil for none.
func (w *Clients) tlsFor(ep DockerEndpoint) (*tlsOptions, error) {
	env := w.opts.Getenv
	dir, fromEnv := ep.CertPath, false
	verify, skip := ep.TLSVerify, false
	if ep.CertPath == "" && ep.CA == "" && ep.Cert == "" && ep.Key == "" && !ep.TLSVerify {
		if !strings.HasPrefix(ep.Host, "tcp://") {
			return nil, nil
		}
		fromEnv = true
		dir = env("DOCKER_CERT_PATH")
		verify = env("DOCKER_TLS_VERIFY") != ""
		skip = !verify && dir == "" && env("DOCKER_TLS") != ""
		if dir == "" && (verify || skip) {
			dir = w.dockerDir()
		}
	}
	if dir == "" && ep.CA == "" && ep.Cert == "" && ep.Key == "" && !verify && !skip {
		return nil, nil
	}
	opts := &tlsOptions{skipVerify: skip}
	explicit := !fromEnv || env("DOCKER_CERT_PATH") != ""
	found := 0
	for _, f := range []struct {
		dst        *[]byte
		path, name string
	}{{&opts.ca, ep.CA, "ca.pem"}, {&opts.cert, ep.Cert, "cert.pem"}, {&opts.key, ep.Key, "key.pem"}} {
		path := f.path
		if path == "" && dir != "" {
			path = filepath.Join(dir, f.name)
		}
		if path == "" {
			continue
		}
		b, err := w.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) && f.path == "" {
			continue // a directory need not have all three
		}
		if failure.As(err) != nil { // it is outside of the project
			return nil, err
		}
		if err != nil {
			return nil, failure.Wrap(failure.Auth, err, "read certificates for %s", ep.Host)
		}
		*f.dst = b
		found++
	}
	if dir != "" && found == 0 && explicit {
		return nil, failure.New(failure.Auth, "certificates for %s: none of ca.pem, cert.pem, key.pem is in %s", ep.Host, dir)
	}
	return opts, nil
}

// config makes the TLS configuration. Only the given CA is believed where one
// is given, else those of the system.
func (o *tlsOptions) config() (*tls.Config, error) {
	c := tlsconfig.ClientDefault()
	c.InsecureSkipVerify = o.skipVerify
	if o.ca != nil {
		pool, err := certPool(o.ca)
		if err != nil {
			return nil, err
		}
		c.RootCAs = pool
	}
	switch {
	case o.cert != nil && o.key != nil:
		pair, err := tls.X509KeyPair(o.cert, o.key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	case o.cert != nil:
		return nil, errors.New("there is a cert.pem, but no key.pem")
	case o.key != nil:
		return nil, errors.New("there is a key.pem, but no cert.pem")
	}
	return c, nil
}
