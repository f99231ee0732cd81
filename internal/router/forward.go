package router

import (
	"net/http"
	"net/http/httputil"
	"strings"
)

// rewrite makes what is sent to the backend of what the client sent. The Host
// header stays the client's, and so does the query, of which ReverseProxy would
// drop what it cannot parse. The trailers are those that come after the body.
func (p *proxy) rewrite(pr *httputil.ProxyRequest) {
	pr.Out.URL.RawQuery = pr.In.URL.RawQuery
	pr.Out.Trailer = pr.In.Trailer
	if !p.cfg.TrustForwarded {
		for name := range pr.Out.Header {
			if saysWhoAsks(name) {
				delete(pr.Out.Header, name)
			}
		}
		pr.SetXForwarded()
		return
	}
	pr.Out.Header["X-Forwarded-For"] = pr.In.Header["X-Forwarded-For"]
	pr.SetXForwarded()
	for _, h := range []string{"X-Forwarded-Proto", "X-Forwarded-Host"} {
		if v := pr.In.Header[h]; len(v) > 0 {
			pr.Out.Header[h] = v
		}
	}
}

// saysWhoAsks reports whether backends take the header for a proxy's word on where
// a request comes from. To WSGI, CGI and Rack an underscore is a dash.
func saysWhoAsks(header string) bool {
	name := http.CanonicalHeaderKey(strings.ReplaceAll(header, "_", "-"))
	return name == "Forwarded" || name == requestIDHeader && header != requestIDHeader || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-")
}
