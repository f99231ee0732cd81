package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/docker/docker/client"
)

// DockerPost sends a POST whose answer is a raw stream, and returns that stream.
// For such calls (the start of an exec) the client only offers to take the
// connection over, which gets around the transport: no rehearsal, and an engine
// that refuses is not heard. The engine answers a plain POST just as well.
func (w *World) DockerPost(ctx context.Context, ep DockerEndpoint, path string, body any) (io.ReadCloser, error) {
	c, _, err := w.Docker(ctx, ep)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	secure := w.engines[ep].secure
	w.mu.Unlock()
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	target, err := rawURL(c.DaemonHost(), secure)
	if err != nil {
		return nil, err
	}
	target.Path = "/v" + c.ClientVersion() + path
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "mepc-run")
	resp, err := c.HTTPClient().Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < http.StatusBadRequest {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var answer struct{ Message string }
	if json.Unmarshal(said, &answer) != nil || answer.Message == "" {
		answer.Message = string(bytes.TrimSpace(said))
	}
	return nil, errors.New(daemonPrefix + answer.Message)
}

// rawURL is where the client sends its requests: a socket has no name, but HTTP
// wants one.
func rawURL(host string, secure bool) (*url.URL, error) {
	u, err := client.ParseHostURL(host)
	if err != nil {
		return nil, fmt.Errorf("engine %s: %w", host, err)
	}
	target := &url.URL{Scheme: "http", Host: u.Host}
	if secure {
		target.Scheme = "https"
	}
	if u.Scheme == "unix" {
		target.Host = client.DummyHost
	}
	return target, nil
}
