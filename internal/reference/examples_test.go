package reference_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/lab"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// app runs the container that the examples speak of.
const app = `docker.create{name = "app-blue", image = "mepc/app:1.1", expose = {"8080"}} docker.start("app-blue") `

// before sets up what an example needs, as Lua in front of it.
var before = map[string]string{
	"docker.load":               `docker.save("mepc/app:1.1", "app.tar") `,
	"docker.remove_image":       `docker.tag("mepc/app:1.1", "mepc/app:1.0") `,
	"docker.inspect":            app,
	"docker.create":             `docker.create{name = "db", image = "mepc/db:1.0"} docker.start("db") `,
	"docker.start":              `docker.create{name = "app-blue", image = "mepc/app:1.1"} `,
	"docker.stop":               app,
	"docker.kill":               app,
	"docker.restart":            app,
	"docker.remove":             `docker.create{name = "app-blue", image = "mepc/app:1.1"} `,
	"docker.rename":             `docker.create{name = "app-new", image = "mepc/app:1.1"} `,
	"docker.wait":               `docker.create{name = "migration", image = "mepc/app:1.1", env = {EXIT = "done"}} docker.start("migration") `,
	"docker.logs":               app,
	"docker.pause":              app,
	"docker.unpause":            app + `docker.pause("app-blue") `,
	"docker.update":             app,
	"docker.exec":               app + `docker.wait_healthy("app-blue", {tcp = {port = 8080}}) `,
	"docker.top":                app,
	"docker.stats":              app,
	"docker.copy_to":            app,
	"docker.copy_from":          app,
	"docker.export":             app,
	"docker.commit":             app,
	"docker.wait_healthy":       app,
	"docker.address":            app,
	"docker.network_connect":    app + `docker.network_create("front") `,
	"docker.network_disconnect": app + `docker.network_create("front") docker.network_connect("front", "app-blue") `,

	"redis:multi":          `local r = redis.connect() `,
	"redis:pipeline":       `local r = redis.connect() `,
	"redis:subscribe":      `local r = redis.connect() `,
	"redis:watch":          `local r = redis.connect() r:set("n", 1) `,
	"redis:replace_list":   `local r, old, new = redis.connect(), "http://10.0.0.1", "http://10.0.0.2" r:rpush("frontend:app", "app", old) `,
	"redis.watching:multi": `redis.connect():watch({"n"}, function(tx) `,
}

// inSwarm are the functions whose examples need a swarm, and a service in it.
var inSwarm = regexp.MustCompile(`^docker\.(swarm_tokens|swarm_join|nodes?_?|services?_?|tasks|secrets?_?|configs?_?)`)

const swarm = `docker.swarm_init{advertise = "127.0.0.1", listen = "127.0.0.1:0"} `

// after closes what before opened.
var after = map[string]string{"redis.watching:multi": ` end)`}

// notHere are the examples that need a registry.
var notHere = map[string]bool{"docker.pull": true, "docker.push": true, "docker.login": true}

const cleanUp = `
for _, c in ipairs{"app-blue", "app-new", "migration", "db"} do docker.remove(c, {force = true, missing_ok = true}) end
docker.network_remove("front", {missing_ok = true})
docker.volume_remove("app-data", {missing_ok = true})
docker.remove_image("mepc/app:debug", {missing_ok = true})
if docker.swarm().manager then
  docker.service_remove("app", {missing_ok = true})
  docker.secret_remove("db-password-2", {missing_ok = true})
  docker.config_remove("app-conf-2", {missing_ok = true})
end
redis.connect():del("a", "n", "frontend:app")`

// TestExamplesRunOnRealServers runs the examples that speak to servers: what the
// reference shows is what works. (Those of std run in its own test.)
func TestExamplesRunOnRealServers(t *testing.T) {
	l := lab.ForTest(t)
	if !l.Engine.Owned() {
		t.Skip("the examples' names, such as app-blue and db, may be someone's on an engine that is not ours")
	}
	if err := lab.SampleImages(t.Context(), l.Engine, "1.1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Engine.PrepareSwarm(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.Mkdir("app", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := lab.SampleContext(t.Context(), filepath.Join(".", "app")); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Method) }))
	defer web.Close()
	world := servers.Live(servers.Options{
		Docker: servers.DockerEndpoint{Host: l.Engine.Host()}, Redis: l.Redis.URL(), Getenv: func(string) string { return "" },
	})
	defer world.Close()
	mods := documented()
	host := runtime.New(runtime.Options{Modules: mods})
	here := strings.NewReplacer("unix:///var/run/docker.sock", l.Engine.Host(), "http://127.0.0.1:8080", web.URL)
	run := func(t *testing.T, src string) {
		t.Helper()
		recipe, err := host.LoadString("example.lua", here.Replace(src))
		if err == nil {
			_, err = host.Run(t.Context(), recipe, runtime.RunOptions{World: world})
		}
		if err != nil {
			t.Errorf("%v\n%s", err, src)
		}
	}
	for _, m := range mods {
		for _, f := range functions(m) {
			if !strings.Contains("docker redis http", m.Name) || m.Name == "" || notHere[f.name] {
				continue
			}
			t.Run(f.name, func(t *testing.T) {
				setup := before[f.name]
				if inSwarm.MatchString(f.name) {
					setup = swarm
					if f.name != "docker.service_create" {
						setup += `docker.service_create{name = "app", image = "mepc/app:1.1"} `
					}
				}
				run(t, setup+f.Example+after[f.name])
				run(t, cleanUp)
			})
		}
	}
	run(t, "docker.swarm_leave{force = true}")
}
