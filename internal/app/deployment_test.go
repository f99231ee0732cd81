package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/mepc/mepc-run/internal/lab"
)

// deployment is an app of one test.
type deployment struct {
	t      *testing.T
	engine *lab.Engine
	redis  *lab.Redis // its own
	app    string
}

func newDeployment(t *testing.T, l *lab.Lab) *deployment {
	t.Helper()
	r, err := ownRedis(t.Cleanup)
	if err != nil {
		t.Fatal(err)
	}
	return &deployment{t: t, engine: l.Engine, redis: r, app: l.Name("i")}
}

// deploy starts a deployment of version. Of a parameter given twice the last
// counts.
func (d *deployment) deploy(version string, args ...string) *process {
	args = append([]string{"bluegreen", "image=mepc/app:" + version, "app=" + d.app, "host=" + d.app, "health=/health"}, args...)
	seen := map[string]bool{}
	var once []string
	for i := len(args) - 1; i >= 0; i-- {
		name, _, _ := strings.Cut(args[i], "=")
		if !seen[name] {
			once = append([]string{args[i]}, once...)
		}
		seen[name] = true
	}
	return start(d.t, d.engine, d.redis, d.t.TempDir(), once...)
}

func (d *deployment) must(code int, p *process) string {
	d.t.Helper()
	return p.wait(code)
}

// traffic returns the backends of the app's host.
func (d *deployment) traffic() []string {
	d.t.Helper()
	r, err := d.redis.Client()
	if err != nil {
		d.t.Fatal(err)
	}
	defer r.Close()
	list, err := r.LRange(d.t.Context(), "frontend:"+d.app, 1, -1).Result()
	if err != nil || len(list) == 0 {
		d.t.Fatalf("frontend:%s: %v, %v", d.app, list, err)
	}
	return list
}

// serves fails the test unless each backend answers.
func (d *deployment) serves(backends []string) {
	d.t.Helper()
	for _, url := range backends {
		c := &http.Client{Timeout: 5 * time.Second}
		res, err := c.Get(url + "/health")
		if err != nil {
			d.t.Errorf("traffic goes to %s, which does not answer: %v", url, err)
			continue
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			d.t.Errorf("traffic goes to %s, which answers %s", url, res.Status)
		}
	}
}

// containers returns the state of each of the app's containers.
func (d *deployment) containers() map[string]string {
	d.t.Helper()
	cli, err := d.engine.Client()
	if err != nil {
		d.t.Fatal(err)
	}
	defer cli.Close()
	list, err := cli.ContainerList(d.t.Context(), container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", "mepc.app="+d.app)),
	})
	if err != nil {
		d.t.Fatal(err)
	}
	states := map[string]string{}
	for _, c := range list {
		states[strings.TrimPrefix(c.Names[0], "/")] = c.State
	}
	return states
}
