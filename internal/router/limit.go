package router

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// limiter bounds what one client address may ask: requests a second, with a burst of
// as many as in two of them, and requests at one time. An IPv6 client is its /64.
type limiter struct {
	rate, most int // 0 means no limit

	mu      sync.Mutex
	clients map[netip.Addr]*client
}

type client struct {
	inFlight int
	tokens   float64
	at       time.Time
}

func newLimiter(cfg *Config) *limiter {
	return &limiter{rate: cfg.AddressRate, most: cfg.AddressInFlight, clients: make(map[netip.Addr]*client)}
}

// enter reports whether addr may make a request now; leave must follow then.
func (l *limiter) enter(addr netip.Addr, now time.Time) bool {
	if l.rate == 0 && l.most == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.clients[addr]
	burst := float64(2 * l.rate)
	if c == nil {
		c = &client{tokens: burst, at: now}
		l.clients[addr] = c
	}
	c.tokens = min(burst, c.tokens+now.Sub(c.at).Seconds()*float64(l.rate))
	c.at = now
	if l.most > 0 && c.inFlight >= l.most || l.rate > 0 && c.tokens < 1 {
		return false
	}
	c.inFlight++
	c.tokens--
	return true
}

func (l *limiter) leave(addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.clients[addr]; c != nil {
		c.inFlight--
	}
}

// sweep forgets who is idle, and would have all its tokens again.
func (l *limiter) sweep(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for addr, c := range l.clients {
		if c.inFlight == 0 && now.Sub(c.at) > 2*time.Second {
			delete(l.clients, addr)
		}
	}
}

// clientOf returns the address of r's client: the one at the other end or, behind a
// proxy that is trusted, the last one that it names.
func clientOf(r *http.Request, trust bool) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if all := r.Header["X-Forwarded-For"]; trust && len(all) > 0 {
		last := all[len(all)-1]
		host = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	if addr = addr.Unmap().WithZone(""); addr.Is6() {
		p, _ := addr.Prefix(64)
		addr = p.Addr()
	}
	return addr
}
