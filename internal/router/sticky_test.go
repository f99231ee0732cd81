package router

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// canary is a list of which the second backend has a share in percent.
func canary(share int, stable, fresh string) []string {
	return append(slices.Repeat([]string{stable}, 100-share), slices.Repeat([]string{fresh}, share)...)
}

func TestAVisitorStaysWithTheReleaseHeSaw(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	stable, fresh := named(t, "stable"), named(t, "fresh")
	s.list("app", canary(10, stable.URL, fresh.URL)...)
	s.do("HSET", "settings:app", "sticky", "cookie")
	visit := func(cookie *http.Cookie) (string, *http.Cookie) {
		req := r.request("GET", "app", "/", nil)
		if cookie != nil {
			req.AddCookie(cookie)
		}
		got, err := r.do(req)
		if err != nil {
			t.Fatal(err)
		}
		if all := (&http.Response{Header: got.header}).Cookies(); len(all) > 0 {
			cookie = all[0]
			if cookie.Path != "/" || !cookie.HttpOnly || strings.Contains(got.header.Get("Set-Cookie"), "127.0.0.1") {
				t.Errorf("the cookie is %s", got.header.Get("Set-Cookie"))
			}
		}
		return got.body, cookie
	}
	saw, cookies := map[string]int{}, map[string]*http.Cookie{}
	for range 50 {
		at, c := visit(nil)
		saw[at]++
		cookies[at] = c
	}
	if saw["fresh"] != 5 {
		t.Errorf("new visitors: %v", saw)
	}
	for at, c := range cookies {
		for range 10 {
			if again, _ := visit(c); again != at {
				t.Errorf("a visitor of %s came to %s", at, again)
			}
		}
	}
	s.list("app", canary(50, stable.URL, fresh.URL)...)
	if at, _ := visit(cookies["stable"]); at != "stable" {
		t.Errorf("when the shares changed a visitor of stable came to %s", at)
	}
	s.list("app", fresh.URL) // the canary is over
	at, c := visit(cookies["stable"])
	if at != "fresh" || c.Value != cookies["fresh"].Value {
		t.Errorf("came to %s, with %v", at, c)
	}
	if at, _ := visit(&http.Cookie{Name: stickyCookie, Value: "rubbish"}); at != "fresh" {
		t.Errorf("with a strange cookie came to %s", at)
	}
}

func TestTheSplitHoldsWithVisitorsWhoStay(t *testing.T) {
	all := func(*peer) bool { return true }
	for _, share := range []int{1, 10, 25, 50} {
		peers := []*peer{
			{url: "http://10.0.0.1", weight: 100 - share, backend: &backend{token: "1"}},
			{url: "http://10.0.0.2", weight: share, backend: &backend{token: "2"}},
		}
		// 2,000 visitors with ten requests each, a new one with every tenth request.
		requests, n := 0, 0
		var visitors []*exchange
		for i := range 20_000 {
			if i%10 == 0 {
				visitors = append(visitors, &exchange{want: &settings{sticky: byCookie}})
			}
			x := visitors[(i*7919)%len(visitors)]
			p := pickPeer(peers, x.home(peers, all), all)
			x.visit = p.backend.token
			if requests++; p == peers[1] {
				n++
			}
		}
		if got := 100 * float64(n) / float64(requests); got < float64(share)-1 || got > float64(share)+1 {
			t.Errorf("by cookie %d %% are %.1f %%", share, got)
		}
		n = 0
		for i := range 10_000 {
			x := &exchange{want: &settings{sticky: byAddress}, visit: fmt.Sprintf("10.1.%d.%d", i/256, i%256)}
			before := x.home(peers, all)
			if before == peers[1] {
				n++
			}
			// With a larger share nobody leaves the canary.
			more := []*peer{{url: peers[0].url, weight: 99 - share}, {url: peers[1].url, weight: share + 1}}
			if before == peers[1] && x.home(more, all) != more[1] {
				t.Fatalf("%s moved back", x.visit)
			}
		}
		if got := float64(n) / 100; got < float64(share)-1 || got > float64(share)+1 {
			t.Errorf("by address %d %% are %.1f %%", share, got)
		}
	}
}
