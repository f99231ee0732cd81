package router

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHostKeyIsLowerCaseWithoutPort(t *testing.T) {
	for header, want := range map[string]string{
		"appserver":                "appserver",
		"Shop.Example.COM":         "shop.example.com",
		"shop.example.com:8080":    "shop.example.com",
		"shop.example.com.":        "shop.example.com",
		"shop.example.com.:80":     "shop.example.com",
		"[::1]:8080":               "::1",
		"[::1]":                    "::1",
		"":                         "",
		":80":                      "",
		strings.Repeat("a", 254):   "",
		strings.Repeat("a", 253):   strings.Repeat("a", 253),
		"shop.example.com:notport": "shop.example.com",
	} {
		got, err := hostKey(header)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("hostKey(%q) = %q, %v; want %q", header, got, err, want)
		}
	}
}

func TestLookupsAreHipaches(t *testing.T) {
	for host, want := range map[string][]string{
		"appserver":         {"appserver", "*"},
		"foo.bar":           {"foo.bar", "*.bar", "*"},
		"a.b.example.com":   {"a.b.example.com", "*.b.example.com", "*.example.com", "*.com", "*"},
		"1.2.3.4.5.6.7.8.9": {"1.2.3.4.5.6.7.8.9", "*.5.6.7.8.9", "*.6.7.8.9", "*.7.8.9", "*.8.9", "*.9", "*"},
	} {
		if diff := cmp.Diff(want, lookups(host)); diff != "" {
			t.Errorf("lookups(%q):\n%s", host, diff)
		}
	}
}

func TestTheMostParticularListWins(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	for key, name := range map[string]string{
		"*.quux":                   "200",
		"*.qux.quux":               "201",
		"*.baz.qux.quux":           "202",
		"*.bar.baz.qux.quux":       "203",
		"foo.bar.baz.qux.quux":     "204",
		"*.foo.bar.baz.qux.quux":   "205",
		"*.quuux.foo.bar.baz.quux": "206",
	} {
		s.list(key, named(t, name).URL)
	}
	// What Hipache 0.4 answers to its own functional test.
	for host, want := range map[string]string{
		"too.deep.quuux.foo.bar.baz.qux.quux": "205",
		"too.deep.foo.bar.baz.qux.quux":       "205",
		"foo.bar.baz.qux.quux":                "204",
		"FOO.bar.BAZ.qux.quux:8080":           "204",
		"bar.bar.baz.qux.quux":                "203",
		"foo.baz.qux.quux":                    "202",
		"foo.qux.quux":                        "201",
		"foo.quux":                            "200",
	} {
		r.wants(host, 200, want)
	}
	r.wants("quux", 404, `"quux" is not in the routing table`)
	s.list("*", named(t, "everything else").URL)
	r.wants("quux", 200, "everything else")
}
