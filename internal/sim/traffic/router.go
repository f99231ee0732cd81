package traffic

import (
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/sim/redis"
	"github.com/mepc/mepc-run/internal/sim/wire"
)

// router is a reverse proxy that reads the routing list for every request. It
// believes a dead set as Hipache does, by index alone, and does not try a second
// backend: it is the strictest judge of a recipe there is.
type router struct {
	address string
	admin   string
	dialect string         // which keys it reads
	rate    float64        // requests a second that clients send for each host
	next    map[string]int // where the round robin of each list stands
}

// deadFor is the time a backend that could not be dialled is out.
const deadFor = 30 * time.Second

// routeKeys are the keys under which a host may be listed, most particular first.
func routeKeys(host string) []string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	keys := []string{host}
	labels := strings.Split(host, ".")
	for i := 1; i < len(labels); i++ {
		keys = append(keys, "*."+strings.Join(labels[i:], "."))
	}
	return append(keys, "*")
}

func (t *Traffic) askRouter(r *router, req *http.Request) (answer, error) {
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	if t.redis.Down() {
		return answer{status: http.StatusServiceUnavailable, body: "the router cannot read its lists\n"}, nil
	}
	keys := routeKeys(host)
	var list []string
	var key string
	if r.dialect == traefik {
		key, keys = traefik+"/"+keys[0], []string{""} // nobody is marked dead there
		list = append([]string{key}, traefikList(t.redis, host)...)
	}
	for _, name := range keys {
		if len(list) > 0 {
			break
		}
		key, list = name, t.redis.List("frontend:"+name)
	}
	if len(list) < 2 {
		return answer{status: http.StatusNotFound, body: "no backend is listed for " + host + "\n"}, nil
	}
	index, backend, ok := t.pick(r, keys[0], key, list[1:])
	if !ok {
		return answer{status: http.StatusBadGateway, body: "all backends of " + host + " are marked dead\n"}, nil
	}
	now := t.timeline.Lock()
	p, err := t.reach("tcp", backendAddress(backend), now)
	if err == nil && p.router != nil {
		err = wire.Refused("tcp", backend)
	}
	t.timeline.Unlock()
	t.counts.add(backend, 1, 0)
	if err != nil {
		t.counts.add(backend, 0, 1)
		if r.dialect != traefik {
			markDead(t.redis, keys[0], backend, index, len(list)-1)
		}
		return answer{status: http.StatusBadGateway, body: "dial " + backend + ": " + err.Error() + "\n"}, nil
	}
	if req.Header.Get("X-Forwarded-Proto") == "" { // as routers send it
		req = req.Clone(req.Context())
		req.Header.Set("X-Forwarded-Proto", "http")
	}
	a, err := t.ask(p, req)
	if err != nil || a.drop || a.status >= http.StatusInternalServerError {
		t.counts.add(backend, 0, 1)
	}
	if err != nil || a.drop {
		return answer{status: http.StatusBadGateway, body: "backend " + backend + " cut the connection\n"}, nil
	}
	return a, nil
}

// pick takes the next backend that is not dead.
func (t *Traffic) pick(r *router, host, key string, backends []string) (int, string, bool) {
	dead, _ := t.redis.Mini().DB(0).Members("dead:" + host)
	t.timeline.Hold()
	defer t.timeline.Unlock()
	if r.next == nil {
		r.next = map[string]int{}
	}
	for range backends {
		i := r.next[key] % len(backends)
		r.next[key] = i + 1
		if !slices.Contains(dead, strconv.Itoa(i)) {
			return i, backends[i], true
		}
	}
	return 0, "", false
}

func markDead(s *redis.Server, host, backend string, index, length int) {
	db := s.Mini().DB(0)
	if _, err := db.SetAdd("dead:"+host, strconv.Itoa(index)); err != nil {
		return // the key is something else: a router could not mark it either
	}
	db.SetTTL("dead:"+host, deadFor)
	s.Mini().Publish("dead", host+";"+backend+";"+strconv.Itoa(index)+";"+strconv.Itoa(length))
}

// backendAddress takes host and port from a backend's URL.
func backendAddress(url string) string {
	rest := url
	if i := strings.Index(rest, "://"); i >= 0 {
		rest = rest[i+3:]
	}
	rest, _, _ = strings.Cut(rest, "/")
	if _, _, err := net.SplitHostPort(rest); err != nil {
		rest = net.JoinHostPort(rest, "80")
	}
	return rest
}
