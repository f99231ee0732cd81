package lab

import (
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
)

func TestBorrowedServersAreGivenBackAsTheyWere(t *testing.T) {
	owner := New(t, Options{Redis: RedisOptions{TCP: true}, Engine: EngineOptions{LiveRestore: true}})
	samples(t, owner.Engine, "1.0")
	d := dockerOf(t, owner.Engine)
	d.run("theirs", AppImage("1.0"), nil)
	rdb, err := owner.Redis.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer rdb.Close()
	if err := rdb.RPush(t.Context(), "frontend:theirs", "x").Err(); err != nil {
		t.Fatal(err)
	}

	t.Setenv(envDocker, owner.Engine.Host())
	t.Setenv(envRedis, owner.Redis.TCPURL())
	l := New(t, Options{})
	if l.Engine.Owned() || l.Redis.Owned() {
		t.Fatal("the lab started servers of its own although the environment names some")
	}
	if l.Engine.Kill9() == nil || l.Engine.Pause() == nil || l.Engine.Restart(t.Context()) == nil || l.Redis.Kill9() == nil {
		t.Error("a borrowed server can be killed")
	}
	samples(t, l.Engine, "2.0")
	// One is known by its image, one by its name.
	d.run("unnamed", AppImage("2.0"), nil)
	d.run(l.Name("app"), AppImage("1.0"), nil)
	if _, err := d.NetworkCreate(t.Context(), l.Name("net"), network.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := rdb.RPush(t.Context(), "frontend:"+l.Name("host"), "x").Err(); err != nil {
		t.Fatal(err)
	}
	if err := l.Stop(); err != nil {
		t.Fatal(err)
	}

	containers, err := d.ContainerList(t.Context(), container.ListOptions{All: true})
	if err != nil || len(containers) != 1 || containers[0].Names[0] != "/theirs" {
		t.Errorf("containers: %v, %v; want theirs alone", containers, err)
	}
	networks, err := d.NetworkList(t.Context(), network.ListOptions{})
	if err != nil || len(networks) != 3 {
		t.Errorf("networks: %v, %v; want bridge, host and none", networks, err)
	}
	if _, err := d.ImageInspect(t.Context(), AppImage("1.0")); err != nil {
		t.Errorf("their image: %v", err)
	}
	images, err := d.ImageList(t.Context(), image.ListOptions{All: true})
	for _, i := range images {
		if i.Labels[label] != "" {
			t.Errorf("left: image %s %v", i.ID, i.RepoTags)
		}
	}
	if err != nil {
		t.Error(err)
	}
	keys, err := rdb.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 1 || keys[0] != "frontend:theirs" {
		t.Errorf("keys: %v, %v; want theirs alone", keys, err)
	}
}
