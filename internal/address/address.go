// Package address reads and writes where backends are: addresses, names and URLs as
// they stand in routing lists and parameters. Start with Parse. The guards and the Lua
// module net ask the same functions, so that what a recipe writes, a guard recognizes.
package address

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// Kinds of host.
const (
	IP4  = "ip4"
	IP6  = "ip6"
	Name = "name"
)

// Address is a host with what stood around it.
type Address struct {
	Scheme string // lower case; empty where there was none
	Host   string // canonical: no brackets, names in lower case
	Kind   string // IP4, IP6 or Name
	Port   int    // 0 where there was none, and no scheme that implies one
	Path   string // of a URL
}

// schemePorts are the ports that a URL means when it names none.
var schemePorts = map[string]int{"http": 80, "https": 443}

// Parse reads HOST, HOST:PORT or SCHEME://HOST:PORT/PATH, where HOST is an IPv4 or
// IPv6 address, with or without brackets, or a name. It reports whether text is one.
func Parse(text string) (Address, bool) {
	if strings.Contains(text, "://") {
		return parseURL(text)
	}
	if a, ok := host(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")); ok && balanced(text, a.Kind) {
		return a, true
	}
	name, port, err := net.SplitHostPort(text)
	if err != nil {
		return Address{}, false
	}
	a, ok := host(name)
	if !ok {
		return Address{}, false
	}
	a.Port, ok = number(port)
	return a, ok
}

// balanced reports whether brackets are around all of an IPv6 address or absent.
func balanced(text, kind string) bool {
	open, shut := strings.HasPrefix(text, "["), strings.HasSuffix(text, "]")
	return open == shut && (!open || kind == IP6)
}

func parseURL(text string) (Address, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" {
		return Address{}, false
	}
	a, ok := host(u.Hostname())
	if !ok {
		return Address{}, false
	}
	a.Scheme, a.Path = strings.ToLower(u.Scheme), u.Path
	if port := u.Port(); port != "" {
		a.Port, ok = number(port)
		return a, ok
	}
	a.Port = schemePorts[a.Scheme]
	return a, !strings.HasSuffix(u.Host, ":")
}

func number(port string) (int, bool) {
	n, err := strconv.ParseUint(port, 10, 16)
	return int(n), err == nil && n > 0
}

// name matches the names that DNS, Docker and /etc/hosts accept.
var name = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)
})

// maxName is the length of a DNS name.
const maxName = 253

// host reads an address or a name.
func host(text string) (Address, bool) {
	if ip, err := netip.ParseAddr(text); err == nil {
		ip = ip.Unmap()
		kind := IP6
		if ip.Is4() {
			kind = IP4
		}
		return Address{Host: ip.String(), Kind: kind}, true
	}
	text = strings.ToLower(strings.TrimSuffix(text, "."))
	last := text[strings.LastIndexByte(text, '.')+1:]
	if _, err := strconv.Atoi(last); err == nil { // 10.0.0, 1.2.3.4.5: no name ends in a number
		return Address{}, false
	}
	return Address{Host: text, Kind: Name}, len(text) <= maxName && name().MatchString(text)
}

// Join writes host:port, with brackets where the host is an IPv6 address; the host
// alone when port is 0.
func Join(host string, port int) string {
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if port != 0 {
		return net.JoinHostPort(host, strconv.Itoa(port))
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// Canonical returns the form of a host that equal hosts share.
func Canonical(text string) string {
	if a, ok := Parse(text); ok && a.Port == 0 {
		return a.Host
	}
	return text
}
