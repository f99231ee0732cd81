package servers

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mepc/mepc-run/internal/failure"
)

func TestRedisURLForms(t *testing.T) {
	for url, want := range map[string]redisTarget{
		"redis://h":                      {addrs: []string{"h:6379"}},
		"redis://h:7000/3":               {addrs: []string{"h:7000"}, db: 3},
		"redis://h:7000/?db=4":           {addrs: []string{"h:7000"}, db: 4},
		"redis://u:p%40ss%2F@h:1":        {addrs: []string{"h:1"}, user: "u", password: "p@ss/"},
		"redis://:p@h":                   {addrs: []string{"h:6379"}, password: "p"},
		"redis://[::1]":                  {addrs: []string{"[::1]:6379"}},
		"redis://[::1]:7000":             {addrs: []string{"[::1]:7000"}},
		"rediss://h?ca=/c.pem":           {addrs: []string{"h:6379"}, tls: true, ca: "/c.pem"},
		"rediss://h?insecure=true":       {addrs: []string{"h:6379"}, tls: true, insecureSkipVerify: true},
		"unix:///run/r.sock":             {addrs: []string{"/run/r.sock"}},
		"unix://:p@/run/r.sock?db=2":     {addrs: []string{"/run/r.sock"}, password: "p", db: 2},
		"redis-sentinel://a,b:7/m?db=1":  {kind: redisSentinel, addrs: []string{"a:26379", "b:7"}, master: "m", db: 1},
		"redis-cluster://:p@a:1,[::1],c": {kind: redisCluster, addrs: []string{"a:1", "[::1]:6379", "c:6379"}, password: "p"},
		"rediss-cluster://a":             {kind: redisCluster, addrs: []string{"a:6379"}, tls: true},
		"redis-sentinel://a/m?sentinel_user=u&sentinel_password=s": {
			kind: redisSentinel, addrs: []string{"a:26379"}, master: "m", sentinelUser: "u", sentinelPassword: "s",
		},
	} {
		got, err := parseRedisURL(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		want.scheme, _, _ = strings.Cut(url, ":")
		if diff := cmp.Diff(want, *got, cmp.AllowUnexported(redisTarget{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", url, diff)
		}
	}
}

func TestBadRedisURLs(t *testing.T) {
	for url, want := range map[string]string{
		"":                            "begins with none of",
		"localhost:6379":              "begins with none of",
		"http://h":                    "begins with none of",
		"redis://":                    "a host is missing",
		"redis://h:port":              "malformed",
		"redis://h:99999":             "from 1 to 65535",
		"redis://h:0":                 "from 1 to 65535",
		"redis://h/x":                 "the database is not a number",
		"redis://h/-1":                "the database is not a number",
		"redis://a,b":                 "takes one host",
		"redis://h?ca=x":              "does not take",
		"redis://h?timeout=1s":        "known are db",
		"redis://h?db=1&db=2":         "db is given twice",
		"redis://:hunter2/x@h":        "%40, %2F",
		"redis://:hunter2?x@h":        "%40, %2F",
		"redis://:hunter2#x@h":        "%23",
		"redis://:hun%zzter2@h":       "%40, %2F",
		"rediss://h?cert=x":           "cert and key belong together",
		"rediss://h?insecure=maybe":   "insecure is true or false",
		"unix://run/r.sock":           "three slashes",
		"unix:///":                    "three slashes",
		"redis-sentinel://a,b":        "the master's name is missing",
		"redis-sentinel://a/m/1":      "the master's name is missing",
		"redis-cluster://a/1":         "only database 0",
		"redis-cluster://a?db=1":      "only database 0",
		"redis-cluster://a,,b":        "a host is missing",
		"redis-cluster://a,b:hunter2": "a port is not a number",
		"redis-cluster://a,fe80::1:1": "malformed",
		"redis://h\x00":               "malformed",
		"redis-cluster://a,b\nc":      "malformed",
	} {
		_, err := parseRedisURL(url)
		if failure.KindOf(err) != failure.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", url, err, want)
			continue
		}
		if text := err.Error() + failure.As(err).Hint; strings.Contains(text, "hunter2") {
			t.Errorf("%q: the password is shown: %s", url, text)
		}
	}
}

func FuzzRedisURL(f *testing.F) {
	for _, s := range []string{
		"redis://u:p@h:1/2", "rediss://h?ca=x", "unix://:p@/s?db=1", "redis-sentinel://a,b:2/m?db=1",
		"redis-cluster://u:p@[::1]:1,b", "redis://:a@b@c/d?e#f", "redis://%", "unix:///%00",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, url string) {
		target, err := parseRedisURL(url)
		if err != nil {
			if failure.KindOf(err) != failure.Invalid {
				t.Errorf("%q: %v", url, err)
			}
			return
		}
		if len(target.addrs) == 0 {
			t.Errorf("%q: no address", url)
		}
		for _, a := range target.addrs {
			if _, _, err := net.SplitHostPort(a); err != nil && target.scheme != "unix" {
				t.Errorf("%q: %v", url, err)
			}
		}
		endpoint := target.endpoint()
		if strings.ContainsFunc(endpoint, func(r rune) bool { return r < 0x20 }) {
			t.Errorf("%q: endpoint %q", url, endpoint)
		}
		// What is shown reads back as the same place, without the login.
		again, err := parseRedisURL(endpoint)
		if target.scheme != "unix" && (err != nil || again.endpoint() != endpoint || again.password != "") {
			t.Errorf("%q: endpoint %q: %v", url, endpoint, err)
		}
	})
}

func TestWhichRedisIsMeant(t *testing.T) {
	env := func(url string) func(string) string {
		return func(name string) string {
			if name == "REDIS_URL" {
				return url
			}
			return ""
		}
	}
	for _, tc := range []struct {
		name, url string
		opts      Options
		want      string
	}{
		{"the recipe's", "redis://a", Options{Redis: "redis://b", Getenv: env("redis://c")}, "redis://a:6379"},
		{"the operator's", "", Options{Redis: "redis://:pw@b/1", Getenv: env("redis://c")}, "redis://b:6379/1"},
		{"the environment's", "", Options{Getenv: env("unix://:pw@/c?db=1")}, "unix:///c?db=1"},
		{"the local one", "", Options{}, "redis://127.0.0.1:6379"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := Live(tc.opts)
			defer w.Close()
			_, got, err := w.Redis(t.Context(), tc.url)
			if err != nil || got != tc.want {
				t.Errorf("got %s, %v; want %s", got, err, tc.want)
			}
		})
	}
}

func TestClientsAreSharedAndClosed(t *testing.T) {
	w := Live(Options{})
	a, _, _ := w.Redis(t.Context(), "redis://127.0.0.1:1")
	b, _, _ := w.Redis(t.Context(), "redis://127.0.0.1:1")
	if a != b {
		t.Error("two clients of one URL")
	}
	w.Close()
	if err := a.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("after Close: %v", err)
	}
}

func TestEveryConnectionIsTheWorlds(t *testing.T) {
	for _, url := range []string{"redis://h", "rediss://h", "unix:///s", "redis-cluster://h", "redis-sentinel://h/m"} {
		t.Run(url, func(t *testing.T) {
			w := Live(Options{})
			defer w.Close()
			asked := make(chan string, 8)
			w.wire.Dial = func(_ context.Context, _, address string) (net.Conn, error) {
				asked <- address
				return nil, errors.New("not in this world")
			}
			c, _, err := w.Redis(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			err = c.Ping(ctx).Err()
			if err == nil || !strings.Contains(err.Error(), "not in this world") || len(asked) == 0 {
				t.Errorf("%v, %d dialled", err, len(asked))
			}
		})
	}
}
