package router

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// accessLog writes one line a request, when it is done: the combined format of
// Apache and nginx, then host, backend and duration in milliseconds.
//
//	10.0.0.9 - - [02/Jan/2026:15:04:05 +0000] "GET / HTTP/1.1" 200 12 "-" "curl/8" shop.example.com http://10.0.0.7:8080 3.214
//
// What a client sent is quoted and escaped, so it cannot forge a line. A request
// that no backend got has "-" there; a client that went away has status 499. In JSON
// a line is an accessLine.
type accessLog struct {
	cfg *Config
	mu  sync.Mutex
	out io.Writer
	buf []byte
}

// accessLine is one line of the log in JSON.
type accessLine struct {
	Time       time.Time `json:"time"`
	ID         string    `json:"request_id"`
	Client     string    `json:"client"`
	Method     string    `json:"method"`
	URI        string    `json:"uri"`
	Proto      string    `json:"proto"`
	Host       string    `json:"host"`
	Status     int       `json:"status"`
	Bytes      int64     `json:"bytes"`
	Referer    string    `json:"referer,omitempty"`
	UserAgent  string    `json:"user_agent,omitempty"`
	Backend    string    `json:"backend,omitempty"`
	DurationMS float64   `json:"duration_ms"`
	TLS        bool      `json:"tls"`
}

func newAccessLog(cfg *Config) *accessLog { return &accessLog{cfg: cfg, out: cfg.AccessLog} }

func (l *accessLog) write(r *http.Request, x *exchange) {
	if l.out == nil {
		return
	}
	took := l.cfg.Clock.Now().Sub(x.began).Seconds() * 1000
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		client = r.RemoteAddr
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.cfg.AccessJSON {
		l.buf = appendCombined(l.buf[:0], r, x, client, took)
	} else if l.buf, err = json.Marshal(accessLine{
		Time: x.began, ID: x.id, Client: client, Method: r.Method, URI: r.RequestURI, Proto: r.Proto, Host: x.host, Status: x.status,
		Bytes: x.bytes, Referer: r.Referer(), UserAgent: r.UserAgent(), Backend: x.backendURL, DurationMS: took, TLS: r.TLS != nil,
	}); err == nil {
		l.buf = append(l.buf, '\n')
	}
	_, _ = l.out.Write(l.buf)
}

func appendCombined(b []byte, r *http.Request, x *exchange, client string, took float64) []byte {
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
	b = append(b, client...)
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
	b = strconv.AppendFloat(b, took, 'f', 3, 64)
	return append(b, '\n')
}

const requestIDHeader = "X-Request-Id"

// requestID returns the one that a trusted proxy gave, or a new one.
func requestID(r *http.Request, trust bool) string {
	if id := r.Header.Get(requestIDHeader); trust && plain(id) {
		return id
	}
	const digits = "0123456789abcdef"
	var id [32]byte
	for i := 0; i < len(id); i += 16 {
		n := rand.Uint64()
		for j := range 16 {
			id[i+j] = digits[n>>(4*j)&15]
		}
	}
	return string(id[:])
}

// plain reports whether an ID is one that logs and headers can carry.
func plain(id string) bool {
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return id != "" && len(id) <= 128
}
