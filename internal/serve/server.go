package serve

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/queue"
	"github.com/mepc/mepc-run/internal/say"
)

// Options configures a Server.
type Options struct {
	Queue    *queue.Queue
	Journal  *journal.Dir
	Recipes  Recipes
	Rehearse Rehearser
	Clock    clock.Clock
	Log      *slog.Logger
	Version  string
	// Token authenticates a client of the API; empty: no client needs to,
	// as on a Unix socket that only its owner can open.
	Token   string
	Servers Servers
	TLS     *tls.Config // nil: there is none
	// Secrets sign webhooks, by name.
	Secrets map[string]func() (string, error)
}

// Server answers requests. It is safe for concurrent use.
type Server struct {
	opts    Options
	mux     *http.ServeMux
	runs    *runs
	numbers *numbers
	keys    *hookKeys
	refused sparing // webhooks, in the log
	token   [sha256.Size]byte
	ending  context.Context // done when the server stops: streams end then
	end     context.CancelFunc
}

// The limits of what clients may do to the server.
const (
	maxBody     = 1 << 20  // bytes of a request
	maxPlan     = 64 << 20 // bytes of one that brings a plan
	maxHeader   = 16 << 10
	headerTime  = 5 * time.Second // to send the header
	requestTime = 30 * time.Second
	idleTime    = 2 * time.Minute
)

// New returns a Server.
func New(opts Options) *Server {
	s := &Server{opts: opts, mux: http.NewServeMux(), runs: newRuns(opts.Journal), token: sha256.Sum256([]byte(opts.Token))}
	s.ending, s.end = context.WithCancel(context.Background())
	s.numbers, s.keys = newNumbers(s), &hookKeys{Server: s, read: map[string]key{}}
	for _, r := range routes {
		s.mux.HandleFunc(r.Method+" "+r.Path, s.handler(r))
	}
	s.addPage()
	return s
}

// Serve answers what comes through l until ctx ends, and then for a while lets what
// is being answered go on.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, newPool(places{all: 512, reserved: 64, share: 128}))
}

func (s *Server) serve(ctx context.Context, l net.Listener, open *pool) error {
	var warning failure.Crew
	defer warning.Wait()
	warning.Go(s.warn, failure.BugTo(s.opts.Log))
	defer s.end()
	h := &http.Server{
		ConnState: open.state, ConnContext: withConn,
		Handler: s, ReadHeaderTimeout: headerTime, ReadTimeout: requestTime, WriteTimeout: requestTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}
	stopped := failure.After(ctx, func() {
		s.end()
		ctx, cancel := context.WithTimeout(context.Background(), headerTime)
		defer cancel()
		if h.Shutdown(ctx) != nil {
			_ = h.Close()
		}
	})
	defer stopped()
	l = open.listen(l)
	if s.opts.TLS != nil {
		l = tls.NewListener(l, s.opts.TLS)
	}
	err := h.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.opts.Log.Error("a request made the server panic", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			s.refuse(w, failure.New(failure.Internal, "a bug in mepc-run: %v", p))
		}
	}()
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	s.mux.ServeHTTP(w, r)
}

// call is a request under way.
type call struct {
	*http.Request
	w   http.ResponseWriter
	who string // who asks
}

// body decodes the request's into v.
func (c *call) body(v any) error {
	dec := json.NewDecoder(c.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil && dec.More() {
		err = errors.New("there is more than one JSON value")
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return err
	}
	if err != nil {
		return failure.Wrap(failure.Invalid, err, "the request's body")
	}
	return nil
}

func (s *Server) handler(rt route) http.HandlerFunc {
	limit := int64(maxBody)
	if rt.Large {
		limit = maxPlan
	}
	return func(w http.ResponseWriter, r *http.Request) {
		counted := &counter{ResponseWriter: w, status: http.StatusOK}
		defer func() { s.numbers.answers.WithLabelValues(rt.Path, strconv.Itoa(counted.status)).Inc() }()
		w = counted
		c := &call{Request: r, w: w, who: "api@" + host(r.RemoteAddr)}
		if !rt.Open && !s.authorized(r) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			s.answer(w, http.StatusUnauthorized, failure.New(failure.Auth, "the token is wrong or missing").
				WithHint("it is in the server's state directory, in serve/token: send Authorization: Bearer TOKEN"))
			return
		}
		if err := rt.wellFormed(r); err != nil {
			s.refuse(w, err)
			return
		}
		if err := protection.Check(r); err != nil && !rt.Open {
			s.answer(w, http.StatusForbidden, failure.New(failure.Denied, "a page of another site asked for this"))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		answer, err := rt.handle(s, c)
		switch {
		case err != nil:
			s.refuse(w, err)
		case rt.Status == http.StatusNoContent:
			w.WriteHeader(rt.Status)
		case answer != nil:
			s.put(w, rt.Status, answer)
		}
	}
}

// protection refuses what a browser sends for another site.
var protection = http.NewCrossOriginProtection()

// authorized compares the token in constant time, by a digest, so that its length
// is not a secret either.
func (s *Server) authorized(r *http.Request) bool {
	if s.opts.Token == "" {
		return true
	}
	if cookie, err := r.Cookie(cookieName); err == nil && r.Header.Get("Authorization") == "" && s.isToken(cookie.Value) {
		trust(r)
		return true
	}
	return s.hasBearer(r)
}

// hasBearer reports whether the token is in the request's header, where no browser
// puts it by itself.
func (s *Server) hasBearer(r *http.Request) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || !s.isToken(given) {
		return false
	}
	trust(r)
	return true
}

func (s *Server) isToken(given string) bool {
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(sum[:], s.token[:]) == 1
}

// cookieName names the cookie in which the page keeps the token.
const cookieName = "mepc_token"

func host(remote string) string {
	if h, _, err := net.SplitHostPort(remote); err == nil {
		return h
	}
	return "local"
}

func (s *Server) put(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		s.refuse(w, fmt.Errorf("encode the answer: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(max(status, http.StatusOK))
	_, _ = w.Write(append(data, '\n')) // who does not read it has gone
}

// problem is an error as the API answers it.
type problem struct {
	Error struct {
		Kind    failure.Kind `json:"kind"`
		Message string       `json:"message"`
		Hint    string       `json:"hint,omitempty"`
		Details string       `json:"details,omitempty"`
	} `json:"error"`
}

// refuse answers with an error.
func (s *Server) refuse(w http.ResponseWriter, err error) {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		w.Header().Set("Connection", "close")
		s.answer(w, http.StatusRequestEntityTooLarge, failure.New(failure.Invalid, "the request is larger than %d bytes", large.Limit))
		return
	case errors.Is(err, queue.ErrFull), errors.Is(err, queue.ErrRecipeFull), errors.Is(err, queue.ErrClosed), errors.Is(err, errLoading), errors.As(err, new(unready)):
		w.Header().Set("Retry-After", "10")
		s.answer(w, http.StatusServiceUnavailable, err)
		return
	}
	status := http.StatusInternalServerError
	if code, ok := statuses[failure.KindOf(err)]; ok {
		status = code
	}
	s.answer(w, status, err)
}

// statuses are those of errors by kind, where it is not 500.
var statuses = map[failure.Kind]int{
	failure.Usage: 400, failure.Invalid: 400, failure.NotFound: 404, failure.Conflict: 409, failure.Auth: 401, failure.Denied: 403,
	failure.Syntax: 422, failure.Script: 422, failure.NotModelled: 422, failure.Limit: 422, failure.Unavailable: 502, failure.Timeout: 504,
}

func (s *Server) answer(w http.ResponseWriter, status int, err error) {
	var p problem
	p.Error.Kind, p.Error.Message = failure.KindOf(err), say.Clip(err.Error(), maxShown)
	if e := failure.As(err); e != nil {
		p.Error.Hint, p.Error.Details = e.Hint, e.Details
	}
	if status >= http.StatusInternalServerError && ofFile(err) || status == http.StatusInternalServerError {
		s.opts.Log.Error("a request failed", "error", err)
		p.Error.Message, p.Error.Hint, p.Error.Details = "the server failed: its log has the error", "", ""
	}
	s.put(w, status, p)
}

// ofFile reports whether an error tells of the server's own files.
func ofFile(err error) bool { return errors.As(err, new(*fs.PathError)) }

// counter remembers with which status a request was answered.
type counter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (c *counter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController find the connection.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }
