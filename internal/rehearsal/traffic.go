package rehearsal

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
)

// inflightPath is the path at which the admin server of mepc-run router tells of requests
// under way.
const inflightPath = "/-/inflight"

// assumedRate is the number of requests a second for each host such a router is taken
// to get.
const assumedRate = 10

// rehearsedTraffic carries a recipe's HTTP to the containers and routers of a
// world. What is outside of the world is never sent.
type rehearsedTraffic struct {
	world  *sim.World
	policy Policy
	known  sync.Map // addresses that have answered: they belong to the world for good
}

// RoundTrip asks the world first. A refused connection is the truth for an
// address that the world has; of any other nothing is known.
func (t *rehearsedTraffic) RoundTrip(req *http.Request) (*http.Response, error) {
	secure := req.URL.Scheme == "https"
	address := net.JoinHostPort(req.URL.Hostname(), portOf(req))
	inner := req
	if secure {
		inner = req.Clone(req.Context())
		inner.URL.Scheme, inner.URL.Host = "http", address
		if inner.Host == "" {
			inner.Host = req.URL.Host
		}
	}
	resp, err := t.world.RoundTrip(inner)
	if err == nil {
		t.known.Store(address, true)
		if secure {
			t.assume("TLS with " + address + " was not rehearsed: it was taken as agreed on")
		}
		return resp, nil
	}
	if _, ok := t.known.Load(address); ok || !notThere(err) || t.has(address) {
		return nil, err
	}
	return t.outside(req)
}

func portOf(req *http.Request) string {
	switch {
	case req.URL.Port() != "":
		return req.URL.Port()
	case req.URL.Scheme == "https":
		return "443"
	}
	return "80"
}

// notThere reports whether err means that nothing answers at the address.
func notThere(err error) bool {
	var name *net.DNSError
	return errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &name)
}

// has says whether the address is the world's to answer: a container's, a
// router's, or one in a network of an engine.
func (t *rehearsedTraffic) has(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	now, err := t.world.State()
	if err != nil {
		return false
	}
	for _, r := range now.Routers {
		if r.Address == address || r.Admin == address {
			return true
		}
	}
	ip, err := netip.ParseAddr(host)
	for _, e := range now.Engines {
		if err == nil && within(ip, &e) {
			return true
		}
		local := host == e.Host || host == "localhost" || err == nil && ip.IsLoopback()
		for _, c := range e.Containers {
			if host == c.Name || slices.ContainsFunc(c.Networks, func(n state.Endpoint) bool { return slices.Contains(n.Aliases, host) }) {
				return true
			}
			published := func(p state.Publish) bool { return p.Host != 0 && strconv.Itoa(p.Host) == port }
			if local && (slices.ContainsFunc(c.Publish, published) || slices.ContainsFunc(c.Ports, published)) {
				return true
			}
		}
	}
	return false
}

func within(ip netip.Addr, e *state.Engine) bool {
	subnets := []string{e.Bridge}
	for _, n := range e.Networks {
		subnets = append(subnets, n.Subnet)
	}
	return slices.ContainsFunc(subnets, func(s string) bool {
		p, err := netip.ParsePrefix(s)
		return err == nil && p.Contains(ip)
	})
}

// outside answers for a host that the world does not have. Only its name is
// told: a path can be a secret.
func (t *rehearsedTraffic) outside(req *http.Request) (*http.Response, error) {
	if resp, err := t.world.AskOutside(req); resp != nil || err != nil {
		return resp, err
	}
	if req.Body != nil {
		req.Body.Close()
	}
	host := req.URL.Host
	if t.policy.Assume == nil {
		return nil, failure.New(failure.NotModelled, "%s %s://%s: the host is not in the simulated world", req.Method, req.URL.Scheme, host).
			WithHint("add a container, a published port or a router with this address to the world, or say under outside what it answers")
	}
	if req.URL.Path == inflightPath && req.Method == http.MethodGet {
		t.assume(fmt.Sprintf("http://%s was taken for the admin server of a router on this Redis, with no request in flight, and %d requests a second without errors", host, assumedRate))
		return t.world.AskAdmin(req, assumedRate)
	}
	t.assume(req.Method + " " + req.URL.Scheme + "://" + host + " was not sent: 200 and an empty body were taken for its answer")
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Request: req,
	}, nil
}

func (t *rehearsedTraffic) assume(what string) {
	if t.policy.Assume != nil {
		t.policy.Assume(what)
	}
}
