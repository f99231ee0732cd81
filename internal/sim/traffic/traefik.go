package traffic

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/mepc/mepc-run/internal/sim/redis"
)

// traefik is the dialect of a router that reads the keys of Traefik's Redis
// provider.
const traefik = "traefik"

// traefikList returns the backends of a host, as often as their weights say. Of the
// rules it knows Host alone, of the services load balancers and weighted ones.
func traefikList(s *redis.Server, host string) []string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	const routers, services = "traefik/http/routers/", "traefik/http/services/"
	keys := s.Mini().DB(0).Keys()
	slices.Sort(keys)
	value := func(key string) string {
		v, _ := s.Mini().DB(0).Get(key)
		return v
	}
	var service string
	for _, k := range keys {
		name, ok := strings.CutPrefix(k, routers)
		if name, isRule := strings.CutSuffix(name, "/rule"); ok && isRule && strings.EqualFold(value(k), "Host(`"+host+"`)") {
			service = value(routers + name + "/service")
			break
		}
	}
	if service == "" {
		return nil
	}
	servers := func(service string) []string {
		var urls []string
		for _, k := range keys {
			if rest, ok := strings.CutPrefix(k, services+service+"/loadbalancer/servers/"); ok && strings.HasSuffix(rest, "/url") {
				if u := value(k); !slices.Contains(urls, u) { // a URL is taken once
					urls = append(urls, u)
				}
			}
		}
		return urls
	}
	list := servers(service)
	for _, k := range keys {
		rest, ok := strings.CutPrefix(k, services+service+"/weighted/services/")
		if n, isName := strings.CutSuffix(rest, "/name"); ok && isName {
			weight, err := strconv.Atoi(value(services + service + "/weighted/services/" + n + "/weight"))
			if err != nil {
				weight = 1
			}
			list = append(list, slices.Repeat(servers(value(k)), weight)...)
		}
	}
	return list
}
