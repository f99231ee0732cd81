package router

import (
	"errors"
	"net"
	"strings"
)

const (
	maxHostLen = 253 // of a DNS name
	// maxParents is the number of labels a wildcard may fix: Hipache's limit, so that
	// a hostile host of a hundred labels does not become a hundred look-ups.
	maxParents = 5
)

var errBadHost = errors.New("the request has no usable Host header")

// hostKey turns a Host header into the name the keys are under: lower case, no
// port, no dot at the end. IPv6 literals lose their brackets.
func hostKey(header string) (string, error) {
	h := header
	if name, _, err := net.SplitHostPort(h); err == nil {
		h = name
	} else if strings.HasPrefix(h, "[") && strings.HasSuffix(h, "]") {
		h = h[1 : len(h)-1]
	}
	h = strings.ToLower(strings.TrimSuffix(h, "."))
	if h == "" || len(h) > maxHostLen {
		return "", errBadHost
	}
	return h, nil
}

// lookups returns the keys under which host may be listed, most particular first.
func lookups(host string) []string {
	keys := make([]string, 1, maxParents+2)
	keys[0] = host
	labels := strings.Split(host, ".")[1:]
	if extra := len(labels) - maxParents; extra > 0 {
		labels = labels[extra:]
	}
	for i := range labels {
		keys = append(keys, "*."+strings.Join(labels[i:], "."))
	}
	return append(keys, "*")
}
