package router

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func anyone(*peer) bool { return true }

func TestHeavyPeersAreSpreadOut(t *testing.T) {
	peers := []*peer{{url: "a", weight: 5}, {url: "b", weight: 1}, {url: "c", weight: 1}}
	var got strings.Builder
	for range 14 {
		got.WriteString(pickPeer(peers, nil, anyone).url)
	}
	if want := "aabacaaaabacaa"; got.String() != want {
		t.Errorf("picked %s, want %s", &got, want)
	}
}

func TestPickLeavesOutWhoIsNotOK(t *testing.T) {
	peers := []*peer{{url: "a", weight: 3}, {url: "b", weight: 1}}
	for range 10 {
		if p := pickPeer(peers, nil, func(p *peer) bool { return p.url != "a" }); p.url != "b" {
			t.Fatalf("picked %s", p.url)
		}
	}
	if p := pickPeer(peers, nil, func(*peer) bool { return false }); p != nil {
		t.Errorf("picked %s of none", p.url)
	}
}

// A list of 99 old and 1 new entries sends exactly one request in a hundred to
// the new one, from however many goroutines.
func TestWeightsAreExact(t *testing.T) {
	cfg := Config{}.withDefaults()
	tbl := newTable(&cfg)
	list := []string{"app"}
	for range 99 {
		list = append(list, "http://10.0.0.1")
	}
	list = append(list, "http://10.0.0.2")
	tbl.apply(reading{lists: map[string][]string{"app": list}})

	const workers, each = 8, 1250
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				x := &exchange{host: "app", keys: lookups("app")}
				if err := tbl.pick(x, false); err != nil {
					t.Error(err)
				}
				tbl.finish(x)
				tbl.apply(reading{lists: map[string][]string{"app": list}}) // as each request does
			}
		})
	}
	wg.Wait()
	got := map[string]uint64{}
	backends, _, _ := tbl.numbers(nil)
	for _, b := range backends {
		got[b.URL] = b.Total
		if b.InFlight != 0 {
			t.Errorf("%s has %d in flight", b.URL, b.InFlight)
		}
	}
	if diff := cmp.Diff(map[string]uint64{"http://10.0.0.1": 9900, "http://10.0.0.2": 100}, got); diff != "" {
		t.Errorf("of %d requests:\n%s", workers*each, diff)
	}
}

func TestWeightsThroughTheRouter(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	a, b := named(t, "a"), named(t, "b")
	s.list("app", a.URL, a.URL, b.URL, a.URL)
	got := map[string]int{}
	for range 400 {
		got[r.get("app", "/").body]++
	}
	if fmt.Sprint(got) != "map[a:300 b:100]" {
		t.Errorf("got %v", got)
	}
}
