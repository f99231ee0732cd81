package http

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// response is what a recipe gets.
type response struct {
	Status   int               `lua:"status" alias:"code|status_code|statuscode|http_code" doc:"such as 200"`
	OK       bool              `lua:"ok" alias:"success" doc:"whether the status is 200 to 299"`
	Headers  map[string]string `lua:"headers" alias:"header" doc:"by lower-case name; one that came several times is joined by commas"`
	Body     string            `lua:"body" alias:"text|content|data|response" doc:"the body, byte for byte"`
	JSON     runtime.Value     `lua:"json" doc:"the body's value, when its type is JSON and it can be read as such; else nil"`
	Duration time.Duration     `lua:"duration" alias:"took|time|elapsed" doc:"from the request to the last byte, in seconds"`
}

// send sends one request and reads the answer.
func (m *module) send(ctx context.Context, method, address string, o *options, c *content) (*response, error) {
	body, kind, err := c.encode()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, failure.New(failure.Invalid, "the request cannot be made: malformed URL")
	}
	setHeaders(req, o.Headers, kind)
	switch {
	case o.Basic != nil:
		req.SetBasicAuth(o.Basic.Username, o.Basic.Password)
	case o.Bearer != "":
		req.Header.Set("Authorization", "Bearer "+o.Bearer)
	}
	transport, done, err := m.transport(o)
	if err != nil {
		return nil, err
	}
	defer done()

	clk := m.world.Clock()
	begin := clk.Now()
	res, err := servers.Send(&http.Client{Transport: transport, CheckRedirect: redirects(o.Follow)}, req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	out := &response{Status: res.StatusCode, OK: res.StatusCode/100 == 2, Headers: flat(res.Header)}
	text, err := io.ReadAll(io.LimitReader(res.Body, int64(o.MaxBody)+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > int64(o.MaxBody) {
		return nil, failure.New(failure.Limit, "the answer (%s) is larger than %d bytes", res.Status, o.MaxBody).
			WithHint("max_body allows more")
	}
	out.Body, out.Duration = string(text), clk.Now().Sub(begin)
	out.JSON = decode(res.Header.Get("Content-Type"), text)
	effect.Note(ctx, res.Status)
	return out, nil
}

// encode returns the request's body and its content type.
func (c *content) encode() (io.Reader, string, error) {
	switch {
	case c.JSON != nil:
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(c.JSON); err != nil {
			return nil, "", failure.New(failure.Invalid, "json: %s", err)
		}
		return bytes.NewReader(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), "application/json", nil
	case c.Body != "":
		return strings.NewReader(c.Body), "", nil
	}
	return http.NoBody, "", nil
}

func setHeaders(req *http.Request, headers map[string]string, kind string) {
	req.Header.Set("User-Agent", "mepc-run")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	if host := hostOf(headers); host != "" {
		req.Host = host
		req.Header.Del("Host")
	}
}

// standard are the headers that follow a redirect to another host. Any other
// may be a key to the first one.
var standard = []string{"User-Agent", "Accept", "Accept-Language", "Content-Type", "Referer"}

func redirects(follow bool) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		if !follow {
			return http.ErrUseLastResponse
		}
		if len(via) >= 10 {
			return failure.New(failure.Refused, "%s redirected more than ten times", via[0].URL.Host).WithHint("follow=false returns the first answer")
		}
		if first := via[0].URL; req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
			kept := http.Header{}
			for _, name := range standard {
				if v := req.Header.Get(name); v != "" {
					kept.Set(name, v)
				}
			}
			req.Header = kept
		}
		return nil
	}
}

// transport returns what carries a request with o, and what to do afterwards.
func (m *module) transport(o *options) (http.RoundTripper, func(), error) {
	if !o.Fresh && !o.Insecure && o.CA == "" && o.Cert == "" && o.Server == "" {
		return m.world.Transport(), func() {}, nil
	}
	t := m.world.NewTransport()
	t.DisableKeepAlives = true
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.Insecure, ServerName: o.Server}
	if o.CA != "" {
		pem, err := m.world.ReadFile(o.CA)
		if err != nil {
			return nil, nil, unread(err, "ca")
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, nil, failure.New(failure.Invalid, "ca: %s holds no certificate", o.CA)
		}
	}
	if o.Cert != "" {
		cert, err := m.world.ReadFile(o.Cert)
		if err != nil {
			return nil, nil, unread(err, "cert and key")
		}
		key, err := m.world.ReadFile(o.Key)
		if err != nil {
			return nil, nil, unread(err, "cert and key")
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, nil, failure.Wrap(failure.Invalid, err, "cert and key")
		}
		t.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	return t, t.CloseIdleConnections, nil
}

// unread says that the file of an option cannot be read.
func unread(err error, option string) error {
	kind := failure.Invalid
	if f := failure.As(err); f != nil {
		kind = f.Kind
	}
	return failure.Wrap(kind, err, "%s", option)
}

func flat(h http.Header) map[string]string {
	out := make(map[string]string, len(h))
	for name, values := range h {
		out[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return out
}

// decode reads a body of a JSON type. A body that is not what it says it is has
// no value: the recipe sees the text.
func decode(contentType string, body []byte) runtime.Value {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return nil
	}
	var v runtime.Value
	if json.Unmarshal(body, &v) != nil {
		return nil
	}
	return v
}
