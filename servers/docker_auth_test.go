package servers

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/docker/docker/api/types/registry"

	"github.com/mepc/mepc-run/internal/failure"
)

func TestRegistryCredentialsComeFromWhereDockerLoginPutsThem(t *testing.T) {
	dir, bin := t.TempDir(), t.TempDir()
	stored := base64.StdEncoding.EncodeToString([]byte("hub:hubpass"))
	config := fmt.Sprintf(`{
		"auths": {"https://index.docker.io/v1/": {"auth": %q}, "plain.example.com:5000": {"auth": %q}},
		"credHelpers": {"helped.example.com": "test", "broken.example.com": "broken"}}`, stored, stored)
	helper := "#!/bin/sh\nread host\necho '{\"ServerURL\":\"'$host'\",\"Username\":\"helper\",\"Secret\":\"from-helper\"}'\n"
	for path, text := range map[string]string{
		filepath.Join(dir, "config.json"):              config,
		filepath.Join(bin, "docker-credential-test"):   helper,
		filepath.Join(bin, "docker-credential-broken"): "#!/bin/sh\necho the keyring is locked\nexit 1\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	w := Live(Options{Getenv: func(k string) string { return map[string]string{"DOCKER_CONFIG": dir}[k] }})
	for domain, want := range map[string]string{
		"docker.io": "hub hubpass", "plain.example.com:5000": "hub hubpass", "helped.example.com": "helper from-helper", "elsewhere.example.com": "",
	} {
		header, err := w.RegistryAuth(domain)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			if header != "" {
				t.Errorf("%s: %q", domain, header)
			}
			continue
		}
		b, err := base64.URLEncoding.DecodeString(header)
		if err != nil {
			t.Fatal(err)
		}
		var auth registry.AuthConfig
		if err := json.Unmarshal(b, &auth); err != nil {
			t.Fatal(err)
		}
		if got := auth.Username + " " + auth.Password; got != want {
			t.Errorf("%s: got %s, want %s", domain, got, want)
		}
	}
	_, err := w.RegistryAuth("broken.example.com")
	wantFailure(t, err, failure.Auth, "the keyring is locked", "docker login broken.example.com")
}
