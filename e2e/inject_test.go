package e2e

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/lab"
)

// fault strikes one effect of a run.
type fault string

const (
	refused       fault = "refused"
	replyLost     fault = "reply lost"             // it was done, and the connection cut
	cut           fault = "connection cut"         // before the server got it
	late          fault = "slow past the deadline" // the server gets it when the run has given up
	slow          fault = "slow"                   // and done in time
	killedBefore  fault = "mepc-run killed before"
	killedAfter   fault = "mepc-run killed after"
	engineKilled  fault = "engine killed"
	engineHangs   fault = "engine hangs"
	engineStopped fault = "engine restarted" // as an upgrade does
	redisKilled   fault = "redis killed"
)

var faults = []fault{refused, replyLost, cut, late, slow, killedBefore, killedAfter, engineKilled, engineHangs, engineStopped, redisKilled}

// injector stands before the engine and Redis, and does a fault to one effect of
// a run: a request that is no GET, or a transaction or another command of Redis
// that changes something.
type injector struct {
	t             *testing.T
	lab           *lab.Lab
	docker, redis string // its own addresses

	mu   sync.Mutex
	seen []string // the effects of the run so far
	at   int      // which one the fault is done to; -1 for none
	what fault
	kill func() // kills mepc-run, and returns when it is dead

	busy int // what the fault began and is not over: a server that starts again, what is done late
}

// inject starts an injector before the servers of l.
func inject(t *testing.T, l *lab.Lab) *injector {
	in := &injector{t: t, lab: l, at: -1}
	dir := t.TempDir()
	in.docker, in.redis = "unix://"+filepath.Join(dir, "d.sock"), "unix://"+filepath.Join(dir, "r.sock")
	listen := func(address string) net.Listener {
		ln, err := net.Listen("unix", strings.TrimPrefix(address, "unix://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ln.Close() })
		return ln
	}
	engine := strings.TrimPrefix(l.Engine.Host(), "unix://")
	web := &http.Server{Handler: in.engine(&http.Transport{
		DisableKeepAlives: true, // an engine that was killed leaves none
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", engine)
		},
	})}
	go func() { _ = web.Serve(listen(in.docker)) }()
	t.Cleanup(func() { _ = web.Close() })
	clients := listen(in.redis)
	go func() {
		for {
			client, err := clients.Accept()
			if err != nil {
				return
			}
			go in.store(client, strings.TrimPrefix(l.Redis.URL(), "unix://"))
		}
	}()
	return in
}

// arm makes the fault be done to an effect of the next run, which kill kills.
func (in *injector) arm(at int, what fault, kill func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.seen, in.at, in.what, in.kill = nil, at, what, kill
}

// disarm ends that, when all that the fault began is over. It returns the run's effects.
func (in *injector) disarm() (seen []string) {
	for ; ; time.Sleep(time.Millisecond) {
		in.mu.Lock()
		if in.busy == 0 {
			break
		}
		in.mu.Unlock()
	}
	defer in.mu.Unlock()
	in.at = -1
	return in.seen
}

// over ends what the fault began.
func (in *injector) over() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.busy--
}

// effect notes an effect and does to it what is to be done first. It returns what
// is left to be done: nothing, or refused or cut; or replyLost, late or killedAfter,
// after which over is called.
func (in *injector) effect(name string) fault {
	in.mu.Lock()
	if strings.HasSuffix(name, " mepc:lock:") && strings.Contains(name, " set ") && slices.Contains(in.seen, name) {
		in.mu.Unlock()
		return "" // the lock is renewed, as it is in a run that takes long
	}
	in.seen = append(in.seen, name)
	hit := in.at == len(in.seen)-1
	what, kill := in.what, in.kill
	if hit {
		in.busy++
	}
	in.mu.Unlock()
	if !hit {
		return ""
	}
	later := func(f func() error) {
		go func() {
			defer in.over()
			in.do(f)
		}()
	}
	switch what {
	case replyLost, late, killedAfter:
		return what
	case engineKilled:
		in.do(in.lab.Engine.Kill9)
		later(func() error { return in.lab.Engine.Restart(context.Background()) })
		return cut
	case engineHangs:
		in.do(in.lab.Engine.Pause)
		later(func() error {
			time.Sleep(2 * time.Second)
			return in.lab.Engine.Resume()
		})
		return ""
	case redisKilled:
		in.do(in.lab.Redis.Kill9)
		later(func() error { return in.lab.Redis.Restart(context.Background()) })
		return cut
	case refused, cut, slow, killedBefore, engineStopped:
	}
	defer in.over()
	switch what {
	case killedBefore:
		kill()
	case slow:
		time.Sleep(time.Second)
		return ""
	case engineStopped:
		in.do(func() error { return in.lab.Engine.Restart(context.Background()) })
	case refused:
		return refused
	default:
	}
	return cut
}

func (in *injector) do(f func() error) {
	if err := f(); err != nil {
		in.t.Error(err)
	}
}

// named finds the names in the path of a request.
var named = regexp.MustCompile(`^/v[0-9.]+/(containers|images)/[^/]*-[^/]*`)

// engine passes requests on to the engine.
func (in *injector) engine(transport http.RoundTripper) http.Handler {
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "docker"}) },
		// The run sees that the connection ends.
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		FlushInterval: -1,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			proxy.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		given := r.Context()
		r = r.WithContext(context.WithoutCancel(given)) // what the engine got, it does
		r.Body = io.NopCloser(bytes.NewReader(body))
		path := named.ReplaceAllString(r.URL.Path, "/$1/NAME")
		forward := func() {
			if res, err := transport.RoundTrip(r); err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
		}
		r.URL.Scheme, r.URL.Host, r.RequestURI = "http", "docker", ""
		switch in.effect(r.Method + " " + path) {
		case refused:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(`{"message":"no space left on device"}`))
			return
		case cut:
		case late:
			<-given.Done()
			forward()
			in.over()
		case replyLost:
			forward()
			in.over()
		case killedAfter:
			forward()
			in.kill()
			in.over()
		default:
			proxy.ServeHTTP(w, r)
			return
		}
		panic(http.ErrAbortHandler)
	})
}

// store passes commands on to Redis. A client sends its transactions in one write.
func (in *injector) store(client net.Conn, redis string) {
	defer client.Close()
	server, err := net.Dial("unix", redis)
	if err != nil {
		return
	}
	defer server.Close()
	answers := make(chan struct{})
	drop := make(chan struct{}) // the answers go to nobody
	go func() {
		defer close(answers)
		defer client.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			select {
			case <-drop:
			default:
				if _, err := client.Write(buf[:n]); err != nil {
					return
				}
			}
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		data := buf[:n]
		names := commands(data)
		if !changes(names) {
			if _, err := server.Write(data); err != nil {
				return
			}
			continue
		}
		forward := func() { // and wait until it is done
			close(drop)
			_, _ = server.Write(data)
			_ = server.(*net.UnixConn).CloseWrite()
			<-answers
		}
		switch in.effect(strings.Join(names, " ") + " " + keyOf(data)) {
		case refused:
			var b bytes.Buffer
			for i := range names {
				switch {
				case i == len(names)-1:
					b.WriteString("-MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.\r\n")
				case i == 0:
					b.WriteString("+OK\r\n")
				default:
					b.WriteString("+QUEUED\r\n")
				}
			}
			if _, err := client.Write(b.Bytes()); err != nil {
				return
			}
			continue
		case cut:
			return
		case late:
			for err == nil { // until the run has given up
				_, err = client.Read(make([]byte, 1<<10))
			}
			forward()
			in.over()
			return
		case replyLost:
			forward()
			in.over()
			return
		case killedAfter:
			forward()
			in.kill()
			in.over()
			return
		}
		if _, err := server.Write(data); err != nil {
			return
		}
	}
}

// commands returns the names of the commands in what a client of Redis sent:
// arrays of bulk strings.
func commands(data []byte) (names []string) {
	lines := bytes.Split(data, []byte("\r\n"))
	for i, l := range lines {
		if bytes.HasPrefix(l, []byte("*")) && i+2 < len(lines) && bytes.HasPrefix(lines[i+1], []byte("$")) {
			names = append(names, strings.ToLower(string(lines[i+2])))
		}
	}
	return names
}

// keyOf returns the first key in it, without what differs from run to run.
func keyOf(data []byte) string {
	for line := range bytes.SplitSeq(data, []byte("\r\n")) {
		for _, prefix := range []string{"frontend:", "dead:", "mepc:lock:", "mepc:fence:"} {
			if bytes.HasPrefix(line, []byte(prefix)) {
				return prefix
			}
		}
	}
	return ""
}

// changes reports whether one of the commands changes something.
func changes(names []string) bool {
	for _, n := range names {
		switch n {
		case "exec", "set", "del", "incr", "sadd", "srem", "lpush", "rpush", "lrem", "linsert", "ltrim", "publish", "eval", "evalsha":
			return true
		}
	}
	return false
}
