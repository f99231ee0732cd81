package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/say"
	"github.com/mepc/mepc-run/servers"
)

type httpProbe struct {
	Port      int               `lua:"port,required" min:"1" max:"65535" doc:"the port in the container"`
	Path      string            `lua:"path" default:"/" doc:"what is asked for"`
	Host      string            `lua:"host" doc:"the Host header; the address when not given"`
	Headers   map[string]string `lua:"headers,secret" doc:"further header fields, such as X-Forwarded-Proto"`
	Status    int               `lua:"status" min:"100" max:"599" doc:"the status that is healthy; any from 200 to 299 when not given: a redirect says nothing of health"`
	Contains  string            `lua:"contains" doc:"text that must be in the first 64 KiB of the answer"`
	Network   string            `lua:"network" doc:"by its address in this network; in the one it was created in when not given"`
	Published bool              `lua:"published" doc:"by the port that it is published as on the engine's machine"`
}

func (p *httpProbe) place() place {
	return place{Port: p.Port, Network: p.Network, Published: p.Published}
}

func (p *httpProbe) check() error {
	if !strings.HasPrefix(p.Path, "/") {
		return fmt.Errorf("http.path: %q does not begin with /", p.Path)
	}
	_, err := http.NewRequest(http.MethodGet, "http://localhost"+p.Path, nil)
	if err != nil {
		return fmt.Errorf("http.path: %q is not a path", p.Path)
	}
	return nil
}

// probeBody bounds what is read of an answer.
const probeBody = 64 << 10

// probe asks once, on a connection of its own: a connection that was kept may
// belong to what stood there before. Redirects are answers, not followed.
func (p *httpProbe) probe(ctx context.Context, w *servers.Clients, address string) (result string, err error) {
	url := "http://" + address + p.Path
	result = "GET " + url
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return result, err
	}
	req.Host = p.Host
	req.Header.Set("User-Agent", "mepc-run")
	for name, value := range p.Headers {
		req.Header.Set(name, value)
	}
	req.Close = true
	t := w.NewTransport()
	t.DisableKeepAlives = true
	defer t.CloseIdleConnections()
	resp, err := t.RoundTrip(req)
	if err != nil {
		return result, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, probeBody))
	if err != nil {
		return result, err
	}
	healthy := resp.StatusCode/100 == 2
	if p.Status != 0 {
		healthy = resp.StatusCode == p.Status
	}
	answer := fmt.Sprintf("%d %q", resp.StatusCode, line(string(body)))
	switch {
	case !healthy && p.Status != 0:
		return result, fmt.Errorf("%s, not %d", answer, p.Status)
	case !healthy && resp.StatusCode/100 == 3:
		return result, fmt.Errorf("%d, a redirect to %s, which says nothing of health", resp.StatusCode, line(resp.Header.Get("Location")))
	case !healthy:
		return result, errors.New(answer)
	case !strings.Contains(string(body), p.Contains):
		return result, fmt.Errorf("%s does not contain %q", answer, p.Contains)
	}
	return fmt.Sprintf("%s: %d", result, resp.StatusCode), nil
}

func tcpProbe(ctx context.Context, w *servers.Clients, address string) (string, error) {
	result := "connect to " + address
	c, err := w.Dial(ctx, "tcp", address)
	if err != nil {
		return result, err
	}
	return result + ": ok", c.Close()
}

// probeWords says what went wrong without what result says already.
func probeWords(ctx context.Context, err error, timeout time.Duration) string {
	if ctx.Err() != nil {
		return fmt.Sprintf("no answer within %s", timeout)
	}
	return failure.Innermost(err).Error()
}

// line is what a server said, shortened to what fits in a line.
func line(s string) string { return say.Clip(strings.TrimSpace(s), 160) }
