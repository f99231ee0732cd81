package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"

	"github.com/mepc/mepc-run/internal/clock"
)

func TestMain(m *testing.M) {
	if os.Getenv(envAbandon) != "" {
		abandon()
	}
	os.Exit(Main(m))
}

// body fetches url, giving the server a moment to come up, and returns the
// trimmed body of its 200.
func body(t *testing.T, url string) string {
	t.Helper()
	var text string
	eventually(t, func() error {
		resp, err := get(t.Context(), url)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		text = strings.TrimSpace(string(b))
		if resp.StatusCode != http.StatusOK {
			err = errors.Join(err, fmt.Errorf("%s: %s: %s", url, resp.Status, text))
		}
		return err
	})
	return text
}

// get opens a connection of its own: a container that is gone must not be
// reached through an old one.
func get(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return c.Do(req)
}

// eventually retries f until it answers nil, for ten seconds at most.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return
		}
		if (clock.Wall{}).Sleep(ctx, 10*time.Millisecond) != nil {
			t.Fatal(err)
		}
	}
}

// docker is an engine's client with a few short verbs for tests.
type docker struct {
	*client.Client
	t *testing.T
}

func dockerOf(t *testing.T, e *Engine) docker {
	t.Helper()
	cli, err := e.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cli.Close() })
	return docker{cli, t}
}

// run creates and starts a container; change edits what it is created with.
func (d docker) run(name, image string, change func(*container.Config, *container.HostConfig)) {
	d.t.Helper()
	conf, host := &container.Config{Image: image}, &container.HostConfig{}
	if change != nil {
		change(conf, host)
	}
	if _, err := d.ContainerCreate(d.t.Context(), conf, host, nil, nil, name); err != nil {
		d.t.Fatal(err)
	}
	if err := d.ContainerStart(d.t.Context(), name, container.StartOptions{}); err != nil {
		d.t.Fatal(err)
	}
}

func (d docker) inspect(name string) container.InspectResponse {
	d.t.Helper()
	c, err := d.ContainerInspect(d.t.Context(), name)
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

// url returns the address at which a container answers on the network of that name.
func (d docker) url(name, netName string, port int) string {
	d.t.Helper()
	n := d.inspect(name).NetworkSettings.Networks[netName]
	if n == nil || n.IPAddress == "" {
		d.t.Fatalf("%s has no address on %s", name, netName)
	}
	return fmt.Sprintf("http://%s:%d/", n.IPAddress, port)
}

func samples(t *testing.T, e *Engine, versions ...string) {
	t.Helper()
	if err := SampleImages(t.Context(), e, versions...); err != nil {
		t.Fatal(err)
	}
}

func TestALinkedContainerIsReachedByItsAddressAndByItsPublishedPort(t *testing.T) {
	l := ForTest(t)
	samples(t, l.Engine, "1.0", "1.1")
	d := dockerOf(t, l.Engine)
	db, app := l.Name("db"), l.Name("app")
	d.run(db, DBImage, nil)
	d.run(app, AppImage("1.1"), func(_ *container.Config, h *container.HostConfig) {
		h.Links = []string{db + ":db"}
		h.PortBindings = nat.PortMap{"8080/tcp": {{HostIP: "127.0.0.1"}}}
	})
	info := d.inspect(app)
	want := fmt.Sprintf("app 1.1 on %s, db 1.0", info.Config.Hostname)
	if got := body(t, d.url(app, "bridge", 8080)); got != want {
		t.Errorf("by address: got %q, want %q", got, want)
	}
	port := info.NetworkSettings.Ports["8080/tcp"][0].HostPort
	if got := body(t, "http://127.0.0.1:"+port+"/"); got != want {
		t.Errorf("by published port: got %q, want %q", got, want)
	}
}

func TestContainersOnAUserDefinedNetworkFindEachOther(t *testing.T) {
	l := ForTest(t)
	samples(t, l.Engine, "1.0")
	d := dockerOf(t, l.Engine)
	netName, db, app := l.Name("net"), l.Name("db"), l.Name("app")
	if _, err := d.NetworkCreate(t.Context(), netName, network.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, image := range map[string]string{db: DBImage, app: AppImage("1.0")} {
		alias := strings.SplitN(name, "-", 2)[0]
		_, err := d.ContainerCreate(t.Context(), &container.Config{Image: image, Env: []string{"DB_ADDR=db:8000"}}, nil,
			&network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{netName: {Aliases: []string{alias}}}}, nil, name)
		if err == nil {
			err = d.ContainerStart(t.Context(), name, container.StartOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	got := body(t, d.url(app, netName, 8080))
	if !strings.HasSuffix(got, ", db 1.0") {
		t.Errorf("got %q, want the backend's line at its end", got)
	}
}

func TestTheBridgeKeepsItsHardwareAddressWhenContainersComeAndGo(t *testing.T) {
	t.Parallel()
	e := startOwn(t, EngineOptions{})
	if err := BuildApp(t.Context(), e, AppImage("1.0"), "1.0"); err != nil {
		t.Fatal(err)
	}
	d := dockerOf(t, e)
	read := func() string {
		b, err := os.ReadFile("/sys/class/net/" + e.net.bridge + "/address")
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	want := e.net.hardware()
	for _, name := range []string{"first", "second"} {
		d.run(name, AppImage("1.0"), nil)
		if got := read(); got != want {
			t.Errorf("with %s: %s, want %s", name, got, want)
		}
	}
	if err := d.ContainerRemove(t.Context(), "first", container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != want {
		t.Errorf("after first: %s, want %s", got, want)
	}
}

func TestTwoLabsAtOnceDoNotMeet(t *testing.T) {
	t.Parallel()
	a := New(t, Options{})
	// The second one has the storage driver of a machine without overlay.
	b := New(t, Options{Engine: EngineOptions{StorageDriver: "vfs"}})
	const name = "same-name"
	for version, l := range map[string]*Lab{"1.0": a, "2.0": b} {
		if err := BuildApp(t.Context(), l.Engine, AppImage(version), version); err != nil {
			t.Fatal(err)
		}
		d := dockerOf(t, l.Engine)
		d.run(name, AppImage(version), nil)
		if got := body(t, d.url(name, "bridge", 8080)+"version"); got != version {
			t.Errorf("got version %s, want %s", got, version)
		}
	}
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	// The first one's end has taken nothing from the second.
	if got := body(t, dockerOf(t, b.Engine).url(name, "bridge", 8080)+"version"); got != "2.0" {
		t.Errorf("got version %s, want 2.0", got)
	}
}

func TestWhatIsMissingIsNamedTogetherWithTheRemedy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dockerd"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	none := tools(dir)
	err := none.need("an engine", map[string]string{"dockerd": "docker.io", "runc": "docker.io", "ip": "iproute2"})
	const want = "an engine needs ip (Debian package iproute2), runc (Debian package docker.io): run scripts/install-deps.sh as root"
	if !errors.Is(err, ErrMissing) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want it to end in %q", err, want)
	}
	// As in the PATH that su leaves to root.
	if _, err := systemTools("").path("dockerd"); err != nil && !testing.Short() {
		t.Error(err)
	}
}

func TestAnEngineThatDoesNotComeUpSaysWhyAndLeavesNothing(t *testing.T) {
	t.Parallel()
	skipShort(t)
	parent := shortDir(t)
	_, err := StartEngine(t.Context(), EngineOptions{Dir: parent, StorageDriver: "nonsense"})
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("got %v, want the engine's own complaint about its storage driver", err)
	}
	if left, _ := filepath.Glob(filepath.Join(parent, "*")); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

// shortDir is a t.TempDir whose path has room for sockets below it.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mepc-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
