package lab

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const procNetRoute = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
tun0	0000000A	00000000	0001	0	0	0	000000FF	0	0	0
`

func TestRoutesAreReadInTheKernelsByteOrder(t *testing.T) {
	t.Parallel()
	got, err := parseRoutes([]byte(procNetRoute))
	if err != nil {
		t.Fatal(err)
	}
	want := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("10.0.0.0/8")}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestALabKeepsOffTheMachinesRoutes(t *testing.T) {
	t.Parallel()
	for routes, want := range map[string]string{
		"":                           "10.213.0.1/24 10.214.0.0/22",
		"10.213.0.0/24":              "10.213.1.1/24 10.214.4.0/22",
		"10.214.3.64/26":             "10.213.1.1/24 10.214.4.0/22",
		"10.0.0.0/8":                 "172.29.0.1/24 172.28.0.0/22",
		"10.0.0.0/8 172.16.0.0/12":   "",
		"192.0.2.0/24 10.213.0.7/32": "10.213.1.1/24 10.214.4.0/22",
	} {
		var taken []netip.Prefix
		for _, r := range strings.Fields(routes) {
			taken = append(taken, netip.MustParsePrefix(r))
		}
		got := ""
		if free := candidates(taken); len(free) > 0 {
			got = free[0].gateway.String() + " " + free[0].pool.String()
		}
		if got != want {
			t.Errorf("with routes %q: got %q, want %q", routes, got, want)
		}
	}
}

func TestNoTwoLabsShareAnAddress(t *testing.T) {
	t.Parallel()
	var taken []netip.Prefix
	for n := range maxLabs {
		for _, alt := range []bool{false, true} {
			a := addressesAt(n, alt)
			for _, p := range []netip.Prefix{a.gateway.Masked(), a.pool} {
				if p != p.Masked() || overlapsAny(p, taken) {
					t.Fatalf("lab %d: %v is misaligned or taken", n, p)
				}
				taken = append(taken, p)
			}
		}
	}
}

func FuzzParseRoutes(f *testing.F) {
	f.Add([]byte(procNetRoute))
	f.Add([]byte("h\na b"))
	f.Add([]byte("h\neth0 zz 0 0 0 0 0 00FFFFFF"))
	f.Add([]byte("h\neth0 000200C0 0 0 0 0 0 FF00FF00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		routes, err := parseRoutes(b)
		if err != nil {
			return
		}
		for _, r := range routes {
			if !r.IsValid() || r != r.Masked() || r.Bits() == 0 {
				t.Errorf("%q: route %v", b, r)
			}
		}
	})
}
