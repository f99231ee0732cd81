package address_test

import (
	"net/netip"
	"testing"
	"testing/quick"

	"github.com/mepc/mepc-run/internal/address"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]address.Address{
		"10.0.0.5":                {Host: "10.0.0.5", Kind: address.IP4},
		"10.0.0.5:80":             {Host: "10.0.0.5", Kind: address.IP4, Port: 80},
		"::1":                     {Host: "::1", Kind: address.IP6},
		"[::1]":                   {Host: "::1", Kind: address.IP6},
		"[0:0::1]:8080":           {Host: "::1", Kind: address.IP6, Port: 8080},
		"::ffff:10.0.0.5":         {Host: "10.0.0.5", Kind: address.IP4},
		"Node-1.Example.com.":     {Host: "node-1.example.com", Kind: address.Name},
		"db:5432":                 {Host: "db", Kind: address.Name, Port: 5432},
		"http://[2001:DB8::1]:80": {Scheme: "http", Host: "2001:db8::1", Kind: address.IP6, Port: 80},
		"HTTP://app":              {Scheme: "http", Host: "app", Kind: address.Name, Port: 80},
		"https://app/x":           {Scheme: "https", Host: "app", Kind: address.Name, Port: 443, Path: "/x"},
	} {
		if got, ok := address.Parse(text); !ok || got != want {
			t.Errorf("%q: %+v, %t; want %+v", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"", " ", "a b", "http://", "http://::1:80", "::1:99999999", "[::1", "::1]", "[app]", "[10.0.0.1]", "app:", "app:0", "app:70000", "app:x", "http://app:",
		"-app", "app-", "a..b", ".a", "10.0.0", "1.2.3.4.5", "app/path", "user@app", "mailto:x", "http:///x", "a\nb", "app:80:80",
	} {
		if got, ok := address.Parse(text); ok {
			t.Errorf("%q is taken as %+v", text, got)
		}
	}
}

// What is joined is read again as what it was.
func TestJoinAndParseAreInverse(t *testing.T) {
	t.Parallel()
	again := func(ip [16]byte, four bool, port uint16) bool {
		addr := netip.AddrFrom16(ip)
		if four {
			addr = netip.AddrFrom4([4]byte(ip[:4]))
		}
		addr, port = addr.Unmap(), max(1, port)
		for _, text := range []string{address.Join(addr.String(), int(port)), "http://" + address.Join(addr.String(), int(port)) + "/x"} {
			got, ok := address.Parse(text)
			if !ok || got.Host != addr.String() || got.Port != int(port) {
				return false
			}
		}
		got, ok := address.Parse(address.Join(addr.String(), 0))
		return ok && got.Host == addr.String() && got.Port == 0
	}
	if err := quick.Check(again, nil); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("http://[::1]:80/x")
	f.Fuzz(func(t *testing.T, text string) {
		a, ok := address.Parse(text)
		if !ok {
			return
		}
		again, ok := address.Parse(address.Join(a.Host, a.Port))
		if !ok || again.Host != a.Host || again.Kind != a.Kind || again.Port != a.Port {
			t.Errorf("%q is %+v, and joined %+v", text, a, again)
		}
	})
}
