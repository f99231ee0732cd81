package router

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
)

func TestAnnouncementsAreReadAsHipacheWritesThem(t *testing.T) {
	for message, want := range map[string]announcement{
		"shop.example.com;http://10.0.0.7:8080;0;2":    {"shop.example.com", "http://10.0.0.7:8080", 0, 2},
		"shop.example.com;http://10.0.0.7/a;b=c;11;12": {"shop.example.com", "http://10.0.0.7/a;b=c", 11, 12},
	} {
		got, err := parseAnnouncement(message)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", message, got, err)
		}
		if got.String() != message {
			t.Errorf("%q is written as %q", message, got)
		}
	}
	for _, message := range []string{"", ";", ";;;", "a;b", "a;b;0", ";http://x;0;1", "a;u;1;1", "a;u;-1;1", "a;u;x;1", "a;u;0;x"} {
		if got, err := parseAnnouncement(message); err == nil {
			t.Errorf("%q was taken for %+v", message, got)
		}
	}
}

func FuzzAnnouncement(f *testing.F) {
	for _, s := range []string{"h;http://10.0.0.7:8080;0;1", "h;;0;1", ";;;;", "h;u;0;", "h;u;99999999999999999999;1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseAnnouncement(s)
		if err != nil {
			return
		}
		if a.host == "" || a.index < 0 || a.index >= a.length {
			t.Fatalf("%q was taken for %+v", s, a)
		}
		if again, err := parseAnnouncement(a.String()); err != nil || again != a {
			t.Fatalf("%+v, written and read, is %+v, %v", a, again, err)
		}
	})
}

// heard waits until the router vouches for index i of host.
func heard(r *running, host string, i int, url string) {
	r.t.Helper()
	eventually(r.t, "the announcement to be heard", func() bool {
		r.router.table.mu.Lock()
		defer r.router.table.mu.Unlock()
		return r.router.table.marks[host][i].url == url
	})
}

// spread sends n requests and counts the answers.
func spread(r *running, host string, n int) map[string]int {
	r.t.Helper()
	got := map[string]int{}
	for range n {
		got[r.get(host, "/").body]++
	}
	return got
}

func TestAnIndexSomeoneAnnouncedIsBelieved(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	a, b := named(t, "a"), named(t, "b")
	s.list("app", a.URL, b.URL)
	// The way Hipache does it.
	s.do("SADD", "dead:app", 0)
	s.do("EXPIRE", "dead:app", 30)
	subscribed(t, s)
	s.do("PUBLISH", "dead", "app;"+a.URL+";0;2")
	heard(r, "app", 0, a.URL)
	if diff := cmp.Diff(map[string]int{"b": 10}, spread(r, "app", 10)); diff != "" {
		t.Errorf("with a announced as dead:\n%s", diff)
	}
	// A deployer's DEL brings it back at once.
	s.do("DEL", "dead:app")
	if diff := cmp.Diff(map[string]int{"a": 5, "b": 5}, spread(r, "app", 10)); diff != "" {
		t.Errorf("with the dead set cleared:\n%s", diff)
	}
}

// subscribed waits until the router listens to the channel.
func subscribed(t *testing.T, s *redisServer) {
	t.Helper()
	eventually(t, "the subscription", func() bool {
		return s.do("PUBSUB", "NUMSUB", "dead").([]any)[1].(int64) > 0
	})
}

// The case of the 30 s outage: the old backend is marked, or a late mark comes,
// and its index is now the new backend's.
func TestAStaleIndexDoesNotHideTheNewBackend(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	subscribed(t, s)
	older, newer := named(t, "old"), named(t, "new")
	other := named(t, "other")
	s.list("app", older.URL, other.URL)
	s.do("SADD", "dead:app", 0)
	s.do("PUBLISH", "dead", "app;"+older.URL+";0;2")
	heard(r, "app", 0, older.URL)
	r.wants("app", 200, "other")

	// An edit that forgets the dead set.
	s.do("LSET", "frontend:app", 1, newer.URL)
	if got := spread(r, "app", 10); got["new"] != 5 {
		t.Errorf("the new backend is at the index of the dead one and got %v", got)
	}
	// A late announcement, for the list as it was.
	s.do("PUBLISH", "dead", "app;"+older.URL+";0;2")
	s.do("PUBLISH", "dead", "fence;http://x;0;1")
	heard(r, "fence", 0, "http://x")
	if got := spread(r, "app", 10); got["new"] != 5 {
		t.Errorf("after a late announcement the new backend got %v", got)
	}
	// The dead one is still there, but at another index.
	s.do("DEL", "frontend:app")
	s.do("RPUSH", "frontend:app", "app", newer.URL, older.URL)
	if got := spread(r, "app", 10); got["new"] != 5 {
		t.Errorf("with the list turned round the new backend got %v", got)
	}
	// The right URL at the right index of a list that had another length.
	s.do("PUBLISH", "dead", "app;"+newer.URL+";0;1")
	heard(r, "app", 0, newer.URL)
	if got := spread(r, "app", 10); got["new"] != 5 {
		t.Errorf("with an announcement of another length the new backend got %v", got)
	}
}

func TestAnIndexNobodyVouchesForIsNotBelieved(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	a, b := named(t, "a"), named(t, "b")
	s.list("app", a.URL, b.URL)
	s.do("SADD", "dead:app", 0, 1, "rubbish", -3)
	if diff := cmp.Diff(map[string]int{"a": 5, "b": 5}, spread(r, "app", 10)); diff != "" {
		t.Error(diff)
	}
}

func TestWhenAllAreDeadAllAreTried(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	subscribed(t, s)
	a, b := named(t, "a"), named(t, "b")
	s.list("app", a.URL, b.URL)
	s.do("SADD", "dead:app", 0, 1)
	s.do("PUBLISH", "dead", "app;"+a.URL+";0;2")
	s.do("PUBLISH", "dead", "app;"+b.URL+";1;2")
	heard(r, "app", 1, b.URL)
	if diff := cmp.Diff(map[string]int{"a": 5, "b": 5}, spread(r, "app", 10)); diff != "" {
		t.Error(diff)
	}
}

// A failed dial is retried elsewhere and marked in Hipache's own format, at every
// index of the URL.
func TestAFailedDialIsMarkedAsHipacheMarksIt(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	ctx := context.Background()
	sub := s.client.Subscribe(ctx, "dead")
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	messages := sub.Channel()
	down, up := refusing(t), named(t, "up")
	s.list("app", down, up.URL, down)

	r.wants("app", 200, "up") // whichever was first: the dial of down is retried on up
	r.wants("app", 200, "up")
	for _, want := range []string{"app;" + down + ";0;3", "app;" + down + ";2;3"} {
		select {
		case m := <-messages:
			if m.Payload != want {
				t.Errorf("announced %q, want %q", m.Payload, want)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%q was not announced", want)
		}
	}
	if got := fmt.Sprint(s.client.SMembers(ctx, "dead:app").Val()); got != "[0 2]" {
		t.Errorf("dead:app holds %v", got)
	}
	if ttl := s.client.TTL(ctx, "dead:app").Val(); ttl <= 25*time.Second || ttl > 30*time.Second {
		t.Errorf("dead:app lives %v", ttl)
	}
	before, _ := r.state(down)
	if got := spread(r, "app", 20); got["up"] != 20 {
		t.Errorf("got %v", got)
	}
	if after, _ := r.state(down); after.Total != before.Total || after.Errors == 0 {
		t.Errorf("a backend marked dead was tried: %+v, then %+v", before.Numbers, after.Numbers)
	}
	// The TTL is over: it is tried again, once.
	s.do("DEL", "dead:app")
	spread(r, "app", 6)
	if after, _ := r.state(down); after.Total == before.Total {
		t.Error("a backend that is dead no more was not tried")
	}
}

func TestAMarkIsNotWrittenIntoAChangedList(t *testing.T) {
	s := startRedis(t)
	ctx := context.Background()
	s.list("app", "http://10.0.0.2", "http://10.0.0.1")
	m := suspicion{host: "app", key: "app", list: []string{"app", "http://10.0.0.1", "http://10.0.0.2"}, url: "http://10.0.0.1", indexes: []int{0}}
	if err := writeMark(ctx, s.client, m, 30*time.Second); err != errListChanged {
		t.Errorf("writing answered %v", err)
	}
	if n := s.client.Exists(ctx, "dead:app").Val(); n != 0 {
		t.Error("index 0 was marked, and is another backend by now")
	}
	m.list = []string{"app", "http://10.0.0.2", "http://10.0.0.1"}
	m.indexes = []int{1}
	if err := writeMark(ctx, s.client, m, 30*time.Second); err != nil {
		t.Errorf("writing answered %v", err)
	}
	if got := s.client.SMembers(ctx, "dead:app").Val(); len(got) != 1 || got[0] != "1" {
		t.Errorf("dead:app holds %v", got)
	}
}

// When the mark cannot be written it holds in this router alone, for as long as
// the list stays.
func TestAMarkThatCannotBeWrittenHoldsHere(t *testing.T) {
	s := startRedis(t)
	if err := s.client.Do(context.Background(), "ACL", "SETUSER", "reader", "on", ">pw", "~*", "&*", "+@read", "+ping", "+hello", "+subscribe", "+client").Err(); err != nil {
		t.Fatal(err)
	}
	reader := redis.NewClient(&redis.Options{
		Network: "unix", Addr: s.socket, Username: "reader", Password: "pw", MaxRetries: -1, ContextTimeoutEnabled: true,
	})
	defer reader.Close()
	c := &offsetClock{}
	r := startRouter(t, s, func(cfg *Config) { cfg.Redis = reader; cfg.Clock = c })
	down, up := refusing(t), named(t, "up")
	s.list("app", down, up.URL)
	spread(r, "app", 2)
	before, _ := r.state(down)
	spread(r, "app", 10)
	if after, _ := r.state(down); before.Total == 0 || after.Total != before.Total {
		t.Errorf("tried %d times, then %d", before.Total, after.Total)
	}
	eventually(t, "the log to say so", func() bool { return strings.Contains(r.log.String(), "avoided by this router alone") })
	c.forward(31 * time.Second)
	spread(r, "app", 2)
	if after, _ := r.state(down); after.Total != before.Total+1 {
		t.Errorf("after the TTL it was tried %d times in all, want %d", after.Total, before.Total+1)
	}
}

func TestMarksAreBounded(t *testing.T) {
	c := &offsetClock{}
	cfg := Config{Clock: c}.withDefaults()
	tbl := newTable(&cfg)
	for i := range maxMarkedHosts + 100 {
		tbl.hear(announcement{fmt.Sprintf("h%d", i), "http://x", 0, 1})
	}
	if n := len(tbl.marks); n != maxMarkedHosts {
		t.Errorf("%d hosts are remembered", n)
	}
	c.forward(31 * time.Second)
	tbl.hear(announcement{"late", "http://x", 0, 1})
	if n := len(tbl.marks); n != 1 {
		t.Errorf("after the TTL %d hosts are remembered", n)
	}
}
