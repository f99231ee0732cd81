package doctor_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/doctor"
	"github.com/mepc/mepc-run/internal/lab"
	"github.com/mepc/mepc-run/servers"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// healthy is a state without findings.
func healthy() *doctor.Facts {
	return &doctor.Facts{
		Engine: doctor.Engine{
			Name: "unix:///run/docker.sock", Version: "28.5.2", API: "1.51", MinAPI: "1.24", LiveRestore: true, SkewKnown: true,
			Disk: &doctor.Disk{Path: "/var/lib/docker", Free: 50 << 30, Total: 100 << 30},
		},
		Redis: doctor.Redis{
			Name: "redis://127.0.0.1:6379", Config: map[string]string{},
			Info: map[string]string{"redis_version": "7.0.15", "role": "master", "aof_enabled": "1", "maxmemory": "0"},
		},
		Routers: []doctor.Router{{URL: "http://127.0.0.1:8080", Status: 400}},
	}
}

func TestEachCheckSaysWhatIsWrongAndHowToMendIt(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*doctor.Facts)
		check  string
		level  doctor.Level
		says   string // in message and fix
	}{
		"all is well":        {func(*doctor.Facts) {}, "", doctor.OK, ""},
		"no engine":          {func(f *doctor.Facts) { f.Engine.Err = errors.New("refused") }, "reachable", doctor.Problem, "refused"},
		"no live-restore":    {func(f *doctor.Facts) { f.Engine.LiveRestore = false }, "live-restore", doctor.Warning, "daemon.json"},
		"restart policies":   {func(f *doctor.Facts) { f.Engine.NotRestarting = []string{"app-1"} }, "restart policies", doctor.Warning, "docker update --restart always app-1"},
		"a remote disk":      {func(f *doctor.Facts) { f.Engine.Disk = nil }, "disk", doctor.Skipped, "df -h"},
		"a disk that fills":  {func(f *doctor.Facts) { f.Engine.Disk.Free = 2 << 30 }, "disk", doctor.Warning, "2GiB (2%)"},
		"a full disk":        {func(f *doctor.Facts) { f.Engine.Disk.Free = 1 << 20 }, "disk", doctor.Problem, "1MiB"},
		"a clock ahead":      {func(f *doctor.Facts) { f.Engine.Skew = 3 * time.Second }, "clock", doctor.Warning, "3s ahead of"},
		"a clock far behind": {func(f *doctor.Facts) { f.Engine.Skew = -time.Hour }, "clock", doctor.Problem, "1h0m0s behind"},
		"no Redis":           {func(f *doctor.Facts) { f.Redis.Err = errors.New("refused") }, "reachable", doctor.Problem, "redis-cli ping"},
		"an old Redis":       {func(f *doctor.Facts) { f.Redis.Info["redis_version"] = "5.0.7" }, "version", doctor.Problem, "too old"},
		"a replica":          {func(f *doctor.Facts) { f.Redis.Info["role"] = "slave"; f.Redis.Info["master_host"] = "10.0.0.9" }, "role", doctor.Problem, "10.0.0.9"},
		"snapshots only":     {func(f *doctor.Facts) { f.Redis.Info["aof_enabled"] = "0" }, "persistence", doctor.Warning, "snapshots only"},
		"no persistence": {func(f *doctor.Facts) {
			f.Redis.Info["aof_enabled"] = "0"
			f.Redis.Config["save"] = ""
		}, "persistence", doctor.Warning, "off: after a restart"},
		"a write that failed": {func(f *doctor.Facts) { f.Redis.Info["rdb_last_bgsave_status"] = "err" }, "persistence", doctor.Problem, "last write to disk failed"},
		"loading":             {func(f *doctor.Facts) { f.Redis.Info["loading"] = "1" }, "persistence", doctor.Warning, "still loading"},
		"eviction": {func(f *doctor.Facts) {
			f.Redis.Info["maxmemory"] = "100"
			f.Redis.Info["maxmemory_policy"] = "allkeys-lru"
		}, "eviction", doctor.Problem, "noeviction"},
		"a deaf Traefik": {func(f *doctor.Facts) {
			f.Redis.Traefik = true
			f.Redis.Config["notify-keyspace-events"] = ""
		}, "keyspace events", doctor.Problem, "KEA"},
		"Traefik, and CONFIG refused": {func(f *doctor.Facts) { f.Redis.Traefik = true }, "keyspace events", doctor.Skipped, "CONFIG GET is refused"},
		"no router":                   {func(f *doctor.Facts) { f.Routers = nil }, "named", doctor.Skipped, "MEPC_ROUTER"},
		"a router that is gone":       {func(f *doctor.Facts) { f.Routers[0].Err = errors.New("refused") }, "reachable", doctor.Problem, "curl -i http://127.0.0.1:8080"},
	} {
		facts := healthy()
		c.change(facts)
		all := doctor.Examine(facts)
		if got := doctor.Worst(all); got != c.level {
			t.Errorf("%s: the worst is %s, want %s: %+v", name, got, c.level, all)
		}
		for _, f := range all {
			if f.Level == doctor.OK {
				continue
			}
			if f.Check != c.check || !strings.Contains(f.Message+" "+f.Fix, c.says) || f.Fix == "" {
				t.Errorf("%s: %+v, want %s with %q and a fix", name, f, c.check, c.says)
			}
		}
	}
}

func look(ctx context.Context, docker, redis string, routers ...string) []doctor.Finding {
	return doctor.Examine(doctor.Look(ctx, doctor.Options{
		Servers: servers.Options{Docker: servers.DockerEndpoint{Host: docker}, Redis: redis}, Routers: routers, Clock: clock.Wall{},
		Disk: func(string) (uint64, uint64, error) { return 50 << 30, 100 << 30, nil },
	}))
}

func TestServersThatAreNotThereAreFindings(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // then nobody listens there
	if err != nil {
		t.Fatal(err)
	}
	gone := silent.Addr().String()
	silent.Close()
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	notDocker := "tcp://" + web.Listener.Addr().String()
	for name, c := range map[string][]string{
		"nothing there":   {"unix:///nowhere/docker.sock", "redis://" + gone, "http://" + gone},
		"something else":  {notDocker, "redis://" + web.Listener.Addr().String(), "http://" + gone},
		"no such scheme":  {"gopher://x", "gopher://x", "http://" + gone},
		"a Redis on unix": {"unix:///nowhere/docker.sock", "unix:///nowhere/redis.sock", "http://" + gone},
	} {
		all := look(t.Context(), c[0], c[1], c[2])
		if len(all) != 3 {
			t.Errorf("%s: %+v", name, all)
		}
		for _, f := range all {
			if f.Level != doctor.Problem || f.Check != "reachable" || f.Fix == "" {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	look(ctx, notDocker, "redis://"+gone) // returns
}

func TestTheLabsServersAreReachable(t *testing.T) {
	l := lab.ForTest(t)
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	seen := map[string]doctor.Finding{}
	for _, f := range look(t.Context(), l.Engine.Host(), l.Redis.URL(), web.URL) {
		seen[strings.Fields(f.Server)[0]+" "+f.Check] = f
	}
	for _, name := range []string{
		"engine reachable", "engine API", "engine live-restore", "engine restart policies", "engine disk", "engine clock",
		"redis reachable", "redis persistence", "redis eviction", "redis clock", "router reachable",
	} {
		if f, ok := seen[name]; !ok || f.Level == doctor.Problem {
			t.Errorf("%s: %+v", name, f)
		}
	}
}
