package servers

import (
	"github.com/docker/docker/api/types/registry"

	"github.com/mepc/mepc-run/internal/failure"
)

// dockerHub is the name under which docker login stores what is for docker.io.
const dockerHub = "https://index.docker.io/v1/"

// RegistryAuth returns the X-Registry-Auth header for the registry at domain,
// such as "docker.io" or "registry.example.com:5000": what docker login stored
// in config.json or in a credential helper. It is "" when there is nothing.
func (w *Clients) RegistryAuth(domain string) (string, error) {
	cfg, err := w.dockerConfig()
	if err != nil {
		return "", err
	}
	if domain == "docker.io" {
		domain = dockerHub
	}
	auth, err := cfg.GetAuthConfig(domain)
	if err != nil {
		return "", failure.Wrap(failure.Auth, err, "ask for the credentials for %s", domain).
			WithHint("the credential helper named in %s failed: try `docker login %s`", cfg.Filename, domain)
	}
	if auth.Username == "" && auth.IdentityToken == "" && auth.RegistryToken == "" && auth.Auth == "" {
		return "", nil
	}
	return registry.EncodeAuthConfig(registry.AuthConfig(auth))
}
