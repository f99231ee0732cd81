package servers

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/cli/cli/context/docker"
	"github.com/docker/cli/cli/context/store"

	"github.com/mepc/mepc-run/internal/failure"
)

// home makes a docker CLI's directory with a context named prod, another named
// lab with TLS files, and config.json with the current context.
func home(t *testing.T, current string) string {
	t.Helper()
	dir := t.TempDir()
	s := store.New(filepath.Join(dir, "contexts"), store.NewConfig(
		func() any { return &map[string]any{} },
		store.EndpointTypeGetter(docker.DockerEndpoint, func() any { return &docker.EndpointMeta{} }),
	))
	for name, ep := range map[string]docker.EndpointMeta{
		"prod": {Host: "ssh://deploy@prod.example.com"}, "lab": {Host: "tcp://lab.example.com"},
		"open": {Host: "tcp://open.example.com:2375"}, "careless": {Host: "tcp://careless.example.com:2376", SkipTLSVerify: true},
	} {
		if err := s.CreateOrUpdate(store.Metadata{Name: name, Endpoints: map[string]any{docker.DockerEndpoint: ep}}); err != nil {
			t.Fatal(err)
		}
	}
	ca, _, _ := certificates(t)
	if err := s.ResetTLSMaterial("lab", &store.ContextTLSData{Endpoints: map[string]store.EndpointTLSData{
		docker.DockerEndpoint: {Files: map[string][]byte{"ca.pem": ca}},
	}}); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]string{"currentContext": current})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestEndpointsAreFoundAsTheDockerCLIFindsThem(t *testing.T) {
	dir := home(t, "prod")
	none := t.TempDir()
	certs := certDir(t)
	type env map[string]string
	for name, tt := range map[string]struct {
		ep   DockerEndpoint
		opts DockerEndpoint
		env  env
		want string // the name, with " TLS" when it is used
	}{
		"nothing is given":                   {want: defaultSocket},
		"no configuration":                   {env: env{"DOCKER_CONFIG": none}, want: defaultSocket},
		"an ssh context is current":          {env: env{"DOCKER_CONFIG": dir}, want: "ssh://deploy@prod.example.com (context prod)"},
		"configuration in HOME":              {env: env{"HOME": filepath.Dir(dir)}, want: defaultSocket},
		"DOCKER_CONTEXT before the current":  {env: env{"DOCKER_CONFIG": dir, "DOCKER_CONTEXT": "lab"}, want: "tcp://lab.example.com:2376 (context lab) TLS"},
		"DOCKER_CONTEXT=default":             {env: env{"DOCKER_CONFIG": dir, "DOCKER_CONTEXT": "default"}, want: defaultSocket},
		"DOCKER_HOST before contexts":        {env: env{"DOCKER_CONFIG": dir, "DOCKER_CONTEXT": "lab", "DOCKER_HOST": "unix:///tmp/x.sock"}, want: "unix:///tmp/x.sock"},
		"--docker before DOCKER_HOST":        {opts: DockerEndpoint{Host: "unix:///tmp/y.sock"}, env: env{"DOCKER_HOST": "unix:///tmp/x.sock"}, want: "unix:///tmp/y.sock"},
		"the call before --docker":           {ep: DockerEndpoint{Host: "unix:///tmp/z.sock"}, opts: DockerEndpoint{Host: "unix:///tmp/y.sock"}, want: "unix:///tmp/z.sock"},
		"the call's context":                 {ep: DockerEndpoint{Context: "lab"}, opts: DockerEndpoint{Host: "unix:///tmp/y.sock"}, env: env{"DOCKER_CONFIG": dir}, want: "tcp://lab.example.com:2376 (context lab) TLS"},
		"the environment's TLS":              {env: env{"DOCKER_HOST": "tcp://10.0.0.5", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": certs}, want: "tcp://10.0.0.5:2376 TLS"},
		"the environment's TLS for --docker": {opts: DockerEndpoint{Host: "tcp://10.0.0.5:1"}, env: env{"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": certs}, want: "tcp://10.0.0.5:1 TLS"},
		"certificates alone mean TLS":        {env: env{"DOCKER_HOST": "tcp://10.0.0.5:1", "DOCKER_CERT_PATH": certs}, want: "tcp://10.0.0.5:1 TLS"},
		"TLS is nothing for a socket":        {env: env{"DOCKER_HOST": "unix:///tmp/x.sock", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": certs}, want: "unix:///tmp/x.sock"},
		"the call's own certificates":        {ep: DockerEndpoint{Host: "tcp://10.0.0.5", CertPath: certs}, want: "tcp://10.0.0.5:2376 TLS"},
		"the system's CAs":                   {ep: DockerEndpoint{Host: "tcp://10.0.0.5", TLSVerify: true}, want: "tcp://10.0.0.5:2376 TLS"},
		"loopback needs no TLS":              {ep: DockerEndpoint{Host: "tcp://127.0.0.1:4243"}, want: "tcp://127.0.0.1:4243"},
		"nor does its name":                  {ep: DockerEndpoint{Host: "tcp://localhost"}, want: "tcp://localhost:2375"},
		"nor the newer loopback":             {ep: DockerEndpoint{Host: "tcp://[::1]:4243"}, want: "tcp://[::1]:4243"},
		"unix without a path":                {ep: DockerEndpoint{Host: "unix://"}, want: defaultSocket},
	} {
		t.Run(name, func(t *testing.T) {
			w := Live(Options{Docker: tt.opts, Getenv: func(k string) string { return tt.env[k] }})
			got, err := w.resolveDocker(tt.ep)
			if err != nil {
				t.Fatal(err)
			}
			text := got.name
			if got.tls != nil {
				text += " TLS"
				if got.tls.InsecureSkipVerify {
					t.Error("the certificate is not checked")
				}
			}
			if text != tt.want {
				t.Errorf("got %s, want %s", text, tt.want)
			}
		})
	}
}

func TestEndpointsThatMakeNoSenseAreRefusedWithAHint(t *testing.T) {
	dir := home(t, "gone")
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "config.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		ep   DockerEndpoint
		env  map[string]string
		kind failure.Kind
		want []string
	}{
		"no scheme":            {DockerEndpoint{Host: "10.0.0.5:2376"}, nil, failure.Invalid, []string{"it has no scheme", "tcp://10.0.0.5:2376"}},
		"a wrong one":          {DockerEndpoint{Host: "ftp://x"}, nil, failure.Invalid, []string{`the scheme "ftp" is not known`}},
		"http":                 {DockerEndpoint{Host: "http://x:2375"}, nil, failure.Invalid, []string{"write tcp://x:2375"}},
		"no host":              {DockerEndpoint{Host: "tcp://:2375"}, nil, failure.Invalid, []string{"it names no host"}},
		"control characters":   {DockerEndpoint{Host: "tcp://a\x1bb"}, nil, failure.Invalid, []string{`"tcp://a\x1bb" is not an engine's URL`}},
		"both":                 {DockerEndpoint{Host: "tcp://x", Context: "y"}, nil, failure.Invalid, []string{"both an engine's URL (tcp://x) and a Docker context (y)"}},
		"an unknown context":   {DockerEndpoint{Context: "nope"}, map[string]string{"DOCKER_CONFIG": dir}, failure.NotFound, []string{`Docker context "nope"`, "docker context ls"}},
		"a current one gone":   {DockerEndpoint{}, map[string]string{"DOCKER_CONFIG": dir}, failure.NotFound, []string{`Docker context "gone"`}},
		"a broken config.json": {DockerEndpoint{}, map[string]string{"DOCKER_CONFIG": broken}, failure.Invalid, []string{"read the Docker configuration", "repair"}},
		"plain tcp":            {DockerEndpoint{Host: "tcp://10.0.0.5:2375"}, nil, failure.Denied, []string{"over tcp without TLS", "--insecure-docker"}},
		"a plain context":      {DockerEndpoint{Context: "open"}, map[string]string{"DOCKER_CONFIG": dir}, failure.Denied, []string{"over tcp without TLS", "--insecure-docker"}},
		"unchecked TLS":        {DockerEndpoint{Context: "careless"}, map[string]string{"DOCKER_CONFIG": dir}, failure.Denied, []string{"certificate is not checked", "--insecure-docker"}},
		"DOCKER_TLS alone":     {DockerEndpoint{Host: "tcp://10.0.0.5"}, map[string]string{"DOCKER_TLS": "1"}, failure.Denied, []string{"certificate is not checked"}},
		"no certificates":      {DockerEndpoint{Host: "tcp://10.0.0.5", CertPath: dir}, nil, failure.Auth, []string{"none of ca.pem, cert.pem, key.pem"}},
		"a missing file":       {DockerEndpoint{Host: "tcp://10.0.0.5", CA: "/nonexistent/ca.pem"}, nil, failure.Auth, []string{"/nonexistent/ca.pem"}},
		"an ssh password":      {DockerEndpoint{Host: "ssh://me:secret@host"}, nil, failure.Invalid, []string{"password"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := Live(Options{Getenv: func(k string) string { return tt.env[k] }})
			_, _, err := w.Docker(t.Context(), tt.ep)
			wantFailure(t, err, tt.kind, tt.want...)
			if strings.Contains(err.Error(), "secret") {
				t.Error("the password is shown")
			}
		})
	}
}

func TestInsecureTCPIsTheOperatorsChoice(t *testing.T) {
	w := Live(Options{InsecureTCP: true})
	if _, err := w.resolveDocker(DockerEndpoint{Host: "tcp://10.0.0.5:2375"}); err != nil {
		t.Error(err)
	}
}

// wantFailure checks err's kind and that its message, hint or state have texts.
func wantFailure(t *testing.T, err error, kind failure.Kind, texts ...string) {
	t.Helper()
	f := failure.As(err)
	if f == nil {
		t.Fatalf("%v is not a failure", err)
	}
	if f.Kind != kind {
		t.Errorf("kind %s, want %s: %s", f.Kind, kind, f.Message)
	}
	for _, text := range texts {
		if !strings.Contains(f.Message+"\n"+f.Hint+"\n"+f.State, text) {
			t.Errorf("the error lacks %q:\n%s\n%s", text, f.Message, f.Hint)
		}
	}
}
