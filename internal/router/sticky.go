package router

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash/fnv"
	"math"
	"net/http"
)

// A visitor of a host whose settings want it stays with the backend that answered
// first, for as long as that is listed and alive. What visitors who stay take is
// charged to the round robin, and new ones go to the backend with the least: the shares of the
// list hold over all requests.

// stickyCookie names the backend that a visitor had.
const stickyCookie = "mepc_route"

// stickiness is by what a visitor is known; empty is not at all.
type stickiness string

const (
	byCookie  stickiness = "cookie"
	byAddress stickiness = "address"
)

func (s *stickiness) set(v string) error {
	if *s = stickiness(v); *s != byCookie && *s != byAddress {
		return errors.New("it is cookie or address")
	}
	return nil
}

// tokenOf stands for a backend in a cookie, and does not tell its address.
func tokenOf(url string) string {
	sum := sha256.Sum256([]byte(url))
	return hex.EncodeToString(sum[:8])
}

// visitor notes what r says of who asks, as far as x wants to know.
func (x *exchange) visitor(r *http.Request, trust bool) {
	switch x.want.sticky {
	case byCookie:
		if c, err := r.Cookie(stickyCookie); err == nil {
			x.visit = c.Value
		}
	case byAddress:
		x.visit = clientOf(r, trust).String()
	}
}

// home returns the peer where x's visitor belongs, among those that ok accepts; nil
// for one who is new.
func (x *exchange) home(peers []*peer, ok func(*peer) bool) (home *peer) {
	if x.visit == "" {
		return nil
	}
	best := math.Inf(-1)
	for _, p := range peers {
		if !ok(p) {
			continue
		}
		if x.want.sticky == byCookie {
			if p.backend.token == x.visit {
				return p
			}
			continue
		}
		if s := score(x.visit, p); s > best {
			home, best = p, s
		}
	}
	return home
}

// score is p's at weighted rendezvous hashing: each visitor goes where it is highest,
// which is in proportion to the weights, the same in every router, and changes only
// for as many visitors as a change of the list needs.
func score(visit string, p *peer) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(visit + " " + p.url))
	n := h.Sum64()
	n ^= n >> 30 // fnv alone leaves the high bits alike
	n *= 0xbf58476d1ce4e5b9
	n ^= n >> 27
	n *= 0x94d049bb133111eb
	n ^= n >> 31
	return -float64(p.weight) / math.Log((float64(n>>11)+.5)/(1<<53))
}

// remember gives a visitor the cookie that brings him back to where he was.
func (x *exchange) remember(resp *http.Response) {
	if x.want.sticky != byCookie || x.visit == x.backend.token {
		return
	}
	c := http.Cookie{Name: stickyCookie, Value: x.backend.token, Path: "/", HttpOnly: true, Secure: x.secure, SameSite: http.SameSiteLaxMode}
	resp.Header.Add("Set-Cookie", c.String())
}
