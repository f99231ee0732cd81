package router

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestInflightCountsEachBackendAndFrontend(t *testing.T) {
	s := startRedis(t)
	c := &offsetClock{}
	r := startRouter(t, s, func(cfg *Config) { cfg.Clock = c })
	url, arrived, release := slowBackend(t)
	down := refusing(t)
	fails := serving(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	s.list("slow", url)
	s.list("down", down)
	s.list("fails", fails.URL)
	s.list("empty")

	began := c.Now()
	done := make(chan reply, 1)
	go func() { done <- r.get("slow", "/") }()
	<-arrived
	st, source := r.state(url)
	if st.LastRequest == nil || st.LastRequest.Before(began.Add(-time.Second)) || source != sourceRedis {
		t.Errorf("last request %v, source %q", st.LastRequest, source)
	}
	st.LastRequest = nil
	want := BackendState{URL: url, Listed: true, In: []string{"slow"}, Numbers: Numbers{InFlight: 1, Total: 1, ErrorsBy: map[string]uint64{}}}
	if diff := cmp.Diff(want, st, cmpopts.IgnoreUnexported(Numbers{})); diff != "" {
		t.Errorf("while one is in flight:\n%s", diff)
	}
	// The switch: not listed any more, but one still there.
	s.list("slow", fails.URL)
	if st, _ := r.state(url); st.Listed || st.InFlight != 1 {
		t.Errorf("after the switch: %+v", st)
	}
	close(release)
	<-done
	eventually(t, "the drain", func() bool {
		st, source := r.state(url)
		return !st.Listed && st.InFlight == 0 && source == sourceRedis && st.Latency != nil && st.Latency.Count == 1
	})

	r.wants("down", 502, "")
	r.wants("fails", 500, "")
	r.wants("empty", 503, "")
	r.wants("nobody", 404, "")
	var in Inflight
	r.adminGet("/-/inflight", &in)
	got := map[string]string{}
	for _, b := range in.Backends {
		got[b.URL] = fmt.Sprint(b.Listed, b.InFlight, b.Total, b.Errors, b.ErrorsBy)
	}
	for _, f := range in.Frontends {
		got[f.Host] = fmt.Sprint(f.InFlight, f.Total, f.Errors, f.ErrorsBy)
	}
	if diff := cmp.Diff(map[string]string{
		url:       "false 0 1 0 map[]",
		down:      "true 0 1 1 map[dial:1]",
		fails.URL: "true 0 1 1 map[5xx:1]",
		"slow":    "0 1 0 map[]",
		"down":    "0 1 1 map[dial:1]",
		"fails":   "0 1 1 map[5xx:1]",
		"empty":   "0 1 1 map[empty:1]",
	}, got); diff != "" {
		t.Error(diff)
	}
}

func TestInflightKnowsBackendsItNeverSaw(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	st, source := r.state("http://10.0.0.1:1")
	if st.Listed || st.InFlight != 0 || source != sourceRedis {
		t.Errorf("%+v %q", st, source)
	}
}

// A drain asks often, and reads only what concerns it.
func TestInflightOfABackendReadsItsListsOnly(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	b := named(t, "b")
	const others = 50
	for i := range others {
		host := fmt.Sprintf("other-%d.test", i)
		s.list(host, b.URL+"1")
		r.get(host, "/")
	}
	s.list("app.test", b.URL)
	r.wants("app.test", 200, "b")

	lranges := func() int {
		var calls int
		_, stats, _ := strings.Cut(s.do("INFO", "commandstats").(string), "cmdstat_lrange:calls=")
		fmt.Sscan(strings.Split(stats, ",")[0], &calls)
		return calls
	}
	before := lranges()
	var in Inflight
	r.adminGet("/-/inflight?host=new.test&backend="+url.QueryEscape(b.URL), &in)
	if n := lranges() - before; n > 6 { // app.test, new.test, *.test, *
		t.Errorf("%d lists were read", n)
	}
	if len(in.Frontends) != 1 || in.Frontends[0].Host != "app.test" || len(in.Backends) != 1 || !in.Backends[0].Listed {
		t.Errorf("%+v", in)
	}
	// A host that is named is read, though nobody asked for it before.
	s.list("new.test", b.URL)
	r.adminGet("/-/inflight?host=new.test&backend="+url.QueryEscape(b.URL), &in)
	if got := in.Backends[0].In; len(got) != 2 {
		t.Errorf("listed in %v", got)
	}
}

// Looking at the router does not change what it does.
func TestALookThatFailsDoesNotOpenTheCircuit(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	s.list("app", named(t, "b").URL)
	r.wants("app", 200, "b")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if source := r.router.look(ctx, []string{"app"}); source != sourceLastKnown {
		t.Errorf("source %q", source)
	}
	if r.router.reader.isAway() {
		t.Error("Redis is away")
	}
}

func TestOfTwoReadingsTheLastToBeginCounts(t *testing.T) {
	table := newTable(&Config{Clock: &offsetClock{}})
	list := func(url string) map[string][]string { return map[string][]string{"app": {"id", url}} }
	table.apply(reading{began: 2, lists: list("http://new")})
	table.apply(reading{began: 1, lists: list("http://old")})
	if got := table.frontends["app"].list[1]; got != "http://new" {
		t.Errorf("the list holds %s", got)
	}
	table.apply(reading{began: 3, lists: map[string][]string{"app": nil}})
	table.apply(reading{began: 2, lists: list("http://old")})
	if table.frontends["app"].exists {
		t.Error("a list that is gone came back")
	}
}

func TestLatencyIsMeasuredToTheHeader(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	b := serving(t, func(http.ResponseWriter, *http.Request) { pause(30 * time.Millisecond) })
	s.list("app", b.URL)
	for range 10 {
		r.get("app", "/")
	}
	st, _ := r.state(b.URL)
	if st.Latency == nil || st.Latency.Count != 10 || st.Latency.P50 < 28 || st.Latency.P50 > 200 || st.Latency.P99 < st.Latency.P50 {
		t.Errorf("%+v", st.Latency)
	}
}

func TestFrontendsListsWhatIsInRedis(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	a, down := named(t, "a"), refusing(t)
	s.list("app", a.URL, down, a.URL)
	s.list("*.example.com", a.URL)
	spread(r, "app", 3)
	eventually(t, "the mark", func() bool { return s.do("EXISTS", "dead:app").(int64) == 1 })

	var got Frontends
	r.adminGet("/-/frontends", &got)
	want := Frontends{Source: sourceRedis, Complete: true, Frontends: []FrontendLists{
		{Host: "*.example.com", Exists: true, Identifier: "app", Backends: []BackendListed{{a.URL, 1, false}}},
		{Host: "app", Exists: true, Identifier: "app", Backends: []BackendListed{{a.URL, 2, false}, {down, 1, true}}},
	}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Frontends{}, "At"), cmpopts.IgnoreFields(FrontendLists{}, "ReadAt")); diff != "" {
		t.Error(diff)
	}
	// One nobody asked for is known by now, and served when Redis is away.
	s.kill()
	r.wants("shop.example.com", 200, "a")
	r.adminGet("/-/frontends", &got)
	if got.Source != sourceLastKnown || got.Complete || len(got.Frontends) != 2 {
		t.Errorf("without Redis: %+v", got)
	}
	var health map[string]string
	if status := r.adminGet("/-/healthz", &health); status != 200 || health["redis"] != "away" {
		t.Errorf("healthz: %d %v", status, health)
	}
}

func TestTheScanIsBounded(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	s.do("EVAL", `for i = 1, 3000 do redis.call("RPUSH", "frontend:h" .. i, "app", "http://10.0.0.1") end`, 0)
	var got Frontends
	r.adminGet("/-/frontends", &got)
	if got.Complete || got.Source != sourceRedis || len(got.Frontends) != maxScanned {
		t.Errorf("%d frontends, complete %v, source %q", len(got.Frontends), got.Complete, got.Source)
	}
}

func TestTheAdminServerIsApart(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	s.list("app", named(t, "a").URL)
	if got := r.get("app", "/-/inflight"); got.body != "a" {
		t.Errorf("the public listener answered %q to the admin path", got.body)
	}
	resp, err := http.Post(r.admin+"/-/inflight", "", strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST was answered %d", resp.StatusCode)
	}
	off := startRouter(t, s, func(c *Config) { c.Admin = "" })
	if off.router.AdminAddr() != nil {
		t.Error("an admin server nobody asked for")
	}
}
