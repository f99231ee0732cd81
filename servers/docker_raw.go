package servers

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
func (w *Clients) DockerPost(ctx context.Context, ep DockerEndpoint, path string, body any) (io.ReadCloser, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return w.dockerRaw(ctx, ep, path, http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(b))
}

// DockerUpgrade sends a POST that makes its connection one of another protocol, and
// returns the connection: writes to it go to the engine.
func (w *Clients) DockerUpgrade(ctx context.Context, ep DockerEndpoint, path, protocol string, header http.Header) (io.ReadWriteCloser, error) {
	header = header.Clone()
	header.Set("Connection", "Upgrade")
	header.Set("Upgrade", protocol)
	body, err := w.dockerRaw(ctx, ep, path, header, http.NoBody)
	if err != nil {
		return nil, err
	}
	conn, ok := body.(io.ReadWriteCloser)
	if !ok {
		_ = body.Close()
		return nil, fmt.Errorf("%sit does not speak %s", daemonPrefix, protocol)
	}
	return conn, nil
}

func (w *Clients) dockerRaw(ctx context.Context, ep DockerEndpoint, path string, header http.Header, body io.Reader) (io.ReadCloser, error) {
	c, _, err := w.Docker(ctx, ep)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	secure := w.engines[ep].secure
	w.mu.Unlock()
	target, err := rawURL(c.DaemonHost(), secure)
	if err != nil {
		return nil, err
	}
	target.Path = "/v" + c.ClientVersion() + path
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header = header
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
