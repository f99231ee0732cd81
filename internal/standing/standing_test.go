package standing_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/standing"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/modules/redis"
)

func look(t *testing.T, app, world string) ([]*standing.App, error) {
	t.Helper()
	st, err := state.Decode([]byte(world))
	if err != nil {
		t.Fatal(err)
	}
	stage, err := rehearsal.New(st, rehearsal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	return standing.Look(t.Context(), standing.Options{Servers: stage.Clients, Explain: redis.Explain, App: app})
}

// replica is a container of the app shop.
func replica(release, version, ip string) string {
	status, networks := `"status": "exited"`, `[{"network": "bridge"}]`
	if ip != "" {
		status, networks = `"status": "running"`, `[{"network": "bridge", "ip": "`+ip+`"}]`
	}
	return `{"name": "shop-` + version + `-` + release + `", "image": "shop:1", ` + status + `, "networks": ` + networks + `, "labels": {"mepc.app": "shop",
 "mepc.release": "` + release + `", "mepc.version": "` + version + `", "mepc.image": "shop:` + version + `", "mepc.port": "80", "mepc.replica": "1"}}`
}

func TestAnAppStandsAsItsListsAndLabelsSay(t *testing.T) {
	apps, err := look(t, "shop", `{"mepc_world": 1, "engines": [{"images": [{"ref": "shop:1"}], "containers": [`+strings.Join([]string{
		replica("aaa", "1.0", "172.17.0.2"), replica("bbb", "1.1", "172.17.0.3"), replica("ccc", "0.9", ""), replica("ddd", "0.8", ""),
		`{"name": "other", "image": "shop:1"}`,
	}, ",")+`]}], "redis": {
 "frontend:shop.example": {"list": ["shop", "http://172.17.0.3:80", "http://172.17.0.2:80", "http://172.17.0.2:80", "http://172.17.0.2:80"]},
 "frontend:www.example": {"list": ["shop", "http://172.17.0.2:80", "http://10.9.9.9:80"]}, "dead:www.example": {"set": ["1"]},
 "frontend:blog.example": {"list": ["blog", "http://172.17.0.99:80"]},
 "mepc:served:shop": {"hash": {"shop.example": "bbb aaa ddd ccc"}}, "mepc:bad:shop": {"hash": {"ddd": "it failed"}}}}`)
	if err != nil || len(apps) != 1 {
		t.Fatal(apps, err)
	}
	a := apps[0]
	var got []string
	for _, h := range a.Hosts {
		for _, b := range h.Backends {
			data, err := json.Marshal([]any{h.Host, b.Version, b.Weight, b.Share, b.Dead, b.Container})
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(data))
		}
	}
	for _, r := range a.Releases {
		data, err := json.Marshal([]any{r.ID, r.Image, r.Serves, r.Running(), r.Bad})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(data))
	}
	want := []string{
		`["shop.example","1.1",1,0.25,false,"shop-1.1-bbb"]`, `["shop.example","1.0",3,0.75,false,"shop-1.0-aaa"]`,
		`["www.example","1.0",1,0.5,false,"shop-1.0-aaa"]`, `["www.example","",1,0.5,true,""]`,
		`["bbb","shop:1.1",true,1,""]`, `["aaa","shop:1.0",true,1,""]`, `["ddd","shop:0.8",false,0,"it failed"]`, `["ccc","shop:0.9",false,0,""]`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if a.Returns != "ccc" || a.Lock != nil {
		t.Errorf("a rollback returns to %q, the lock is %v", a.Returns, a.Lock)
	}
}

func TestAppsWithoutContainersAreThoseOfTheirLists(t *testing.T) {
	const world = `{"mepc_world": 1, "redis": {"frontend:blog.example": {"list": ["blog", "http://172.17.0.99:80"]}, "frontend:empty.example": {"list": ["gone"]}}}`
	apps, err := look(t, "", world)
	if err != nil || len(apps) != 2 || apps[0].Name != "blog" || apps[1].Name != "gone" || len(apps[1].Hosts[0].Backends) != 0 {
		t.Errorf("%v, %v", apps, err)
	}
	_, err = look(t, "shop", world)
	if e := failure.As(err); e == nil || e.Kind != failure.NotFound || !strings.Contains(e.Hint, "blog, gone") {
		t.Errorf("an unknown app: %v", err)
	}
}

func TestTheSampleWorldStands(t *testing.T) {
	sample, err := os.ReadFile("../../rehearsal/sample.json")
	if err != nil {
		t.Fatal(err)
	}
	apps, err := look(t, "app", string(sample))
	if err != nil || len(apps[0].Serving()) != 1 || apps[0].Serving()[0].Version != "1.0" || apps[0].Returns != "" {
		t.Errorf("%v, %v", apps, err)
	}
}
