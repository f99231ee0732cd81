package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// backend is the linked "db", found in one of three ways: the address it was
// told, a container link (DB_PORT_8000_TCP_ADDR in the environment and the
// alias db in /etc/hosts), or the alias db on a user-defined network.
type backend struct {
	client http.Client
	addr   func() string // "" when there is none; looked up once
}

func newBackend(addr string) *backend {
	b := &backend{client: http.Client{Timeout: 2 * time.Second}}
	b.addr = sync.OnceValue(func() string {
		if addr != "" {
			return addr
		}
		return findBackend()
	})
	// The look-up may take a moment on a user-defined network: have it done by
	// the time the first request comes.
	go b.addr()
	return b
}

func (b *backend) linked() bool { return b.addr() != "" }

// ask returns the backend's line.
func (b *backend) ask(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.addr()+"/", nil)
	if err != nil {
		return "", err
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return "", err
	}
	if err := statusError(resp); err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(string(body)))
	}
	return strings.TrimSpace(string(body)), nil
}

func findBackend() string {
	ip := os.Getenv("DB_PORT_8000_TCP_ADDR")
	if hosts, err := os.ReadFile("/etc/hosts"); err == nil && hasAlias(string(hosts), "db") {
		// The alias follows a restarted backend to its new address; the
		// environment keeps the first one.
		return "db:8000"
	}
	if ip != "" {
		return net.JoinHostPort(ip, "8000")
	}
	// Ask for the name only where Docker's own resolver answers: any other
	// could take seconds to say no, or know a db that is not ours.
	if conf, err := os.ReadFile("/etc/resolv.conf"); err != nil || !strings.Contains(string(conf), "127.0.0.11") {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if _, err := net.DefaultResolver.LookupHost(ctx, "db"); err != nil {
		return ""
	}
	return "db:8000"
}

// hasAlias reports whether an /etc/hosts file gives name to any address.
func hasAlias(hosts, name string) bool {
	for line := range strings.Lines(hosts) {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 1 {
			for _, alias := range fields[1:] {
				if alias == name {
					return true
				}
			}
		}
	}
	return false
}
