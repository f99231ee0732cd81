package router

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
)

// accessLog writes one line a request, when it is done: the combined format of
// Apache and nginx, then host, backend and duration in milliseconds.
//
//	10.0.0.9 - - [02/Jan/2026:15:04:05 +0000] "GET / HTTP/1.1" 200 12 "-" "curl/8" shop.example.com http://10.0.0.7:8080 3.214
//
// What a client sent is quoted and escaped, so it cannot forge a line. A request
// that no backend got has "-" there; a client that went away has status 499.
type accessLog struct {
	cfg *Config
	mu  sync.Mutex
	out io.Writer
	buf []byte
}

func newAccessLog(cfg *Config) *accessLog { return &accessLog{cfg: cfg, out: cfg.AccessLog} }

func (l *accessLog) write(r *http.Request, x *exchange) {
	if l.out == nil {
		return
	}
	took := l.cfg.Clock.Now().Sub(x.began)
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		client = r.RemoteAddr
	}
	quoted := func(b []byte, s string) []byte {
		if s == "" {
			s = "-"
		}
		return append(strconv.AppendQuote(b, s), ' ')
	}
	host, backend := strconv.Quote(x.host), x.backendURL
	host = host[1 : len(host)-1]
	if host == "" {
		host = "-"
	}
	if backend == "" {
		backend = "-"
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	b := append(l.buf[:0], client...)
	b = append(b, " - - ["...)
	b = x.began.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, "] "...)
	b = quoted(b, r.Method+" "+r.RequestURI+" "+r.Proto)
	b = strconv.AppendInt(b, int64(x.status), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, x.bytes, 10)
	b = append(b, ' ')
	b = quoted(b, r.Referer())
	b = quoted(b, r.UserAgent())
	b = append(b, host+" "+backend+" "...)
	b = strconv.AppendFloat(b, took.Seconds()*1000, 'f', 3, 64)
	b = append(b, '\n')
	l.buf = b
	_, _ = l.out.Write(b)
}
