package servers

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/failure"
)

// seen is what servers were asked.
type seen struct {
	mu   sync.Mutex
	what []string
}

func (s *seen) add(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.what = append(s.what, what)
}

func (s *seen) writes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, w := range s.what {
		if !strings.HasPrefix(w, "GET ") && !strings.HasPrefix(w, "HEAD ") && !strings.HasPrefix(w, "redis LRANGE") && w != "redis HELLO" {
			out = append(out, w)
		}
	}
	return out
}

func TestAReadOnlyWorldSendsNothingButReads(t *testing.T) {
	s := &seen{}
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.add(r.Method + " " + r.URL.Path)
		w.Header().Set("Api-Version", "1.41")
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte("[]"))
	}))
	defer engine.Close()
	mini := miniredis.RunT(t)
	mini.Server().SetPreHook(func(_ *server.Peer, cmd string, _ ...string) bool {
		s.add("redis " + cmd)
		return false
	})

	w := ReadOnly(Options{Docker: DockerEndpoint{Host: "tcp://" + engine.Listener.Addr().String()}, Redis: "redis://" + mini.Addr()})
	defer w.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cli, _, err := w.Docker(ctx, DockerEndpoint{})
	if err != nil {
		t.Fatal(err)
	}
	rdb, _, err := w.Redis(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cli.ContainerList(ctx, container.ListOptions{}); err != nil {
		t.Errorf("list: %v", err)
	}
	if err := rdb.LRange(ctx, "frontend:a", 0, -1).Err(); err != nil {
		t.Errorf("lrange: %v", err)
	}

	for name, call := range map[string]func() error{
		"create": func() error {
			_, err := cli.ContainerCreate(ctx, &container.Config{}, nil, nil, nil, "a")
			return err
		},
		"start":  func() error { return cli.ContainerStart(ctx, "a", container.StartOptions{}) },
		"remove": func() error { return cli.ContainerRemove(ctx, "a", container.RemoveOptions{}) },
		"copy": func() error {
			return cli.CopyToContainer(ctx, "a", "/", strings.NewReader("x"), container.CopyToContainerOptions{})
		},
		"load": func() error { _, err := cli.ImageLoad(ctx, strings.NewReader("x")); return err },
		"image remove": func() error {
			_, err := cli.ImageRemove(ctx, "a", image.RemoveOptions{})
			return err
		},
		"attach": func() error {
			_, err := cli.ContainerAttach(ctx, "a", container.AttachOptions{Stream: true})
			return err
		},
		"set":   func() error { return rdb.Set(ctx, "a", "b", 0).Err() },
		"del":   func() error { return rdb.Del(ctx, "frontend:a").Err() },
		"rpush": func() error { return rdb.RPush(ctx, "frontend:a", "b").Err() },
		"eval":  func() error { return rdb.Eval(ctx, "return 1", nil).Err() },
		"flush": func() error { return rdb.FlushAll(ctx).Err() },
		"multi": func() error {
			_, err := rdb.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Set(ctx, "a", "b", 0); return nil })
			return err
		},
		"pipeline that begins with a read": func() error {
			_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error { p.LRange(ctx, "a", 0, -1); p.Set(ctx, "a", "b", 0); return nil })
			return err
		},
		"watch": func() error {
			return rdb.Watch(ctx, func(tx *redis.Tx) error { return tx.Set(ctx, "a", "b", 0).Err() }, "a")
		},
	} {
		if err := call(); failure.KindOf(err) != failure.Denied && failure.KindOf(err) != failure.NotModelled {
			t.Errorf("%s: %v", name, err)
		}
	}
	resp, err := (&http.Client{Transport: w.Transport()}).Get(engine.URL)
	if err == nil {
		resp.Body.Close()
		t.Error("HTTP to anything else is answered")
	}
	if diff := cmp.Diff([]string(nil), s.writes()); diff != "" {
		t.Errorf("the servers saw: %s", diff)
	}
	if len(mini.Keys()) > 0 {
		t.Errorf("keys: %v", mini.Keys())
	}
}

func TestReadCommand(t *testing.T) {
	for in, want := range map[string]struct {
		words []string
		n     int
		err   error
	}{
		"":                                      {nil, 0, errPartial},
		"*1\r\n":                                {nil, 0, errPartial},
		"*1\r\n$4\r\nPING":                      {nil, 0, errPartial},
		"*1\r\n$4\r\nPING\r\n*1":                {[]string{"PING"}, 14, nil},
		"*2\r\n$3\r\nGET\r\n$2\r\n\r\n\r\nrest": {[]string{"GET", "\r\n"}, 21, nil},
		"PING\r\n":                              {nil, 0, errNoRESP},
		"*0\r\n":                                {nil, 0, errNoRESP},
		"*-1\r\n":                               {nil, 0, errNoRESP},
		"*99999999999999999999999999":           {nil, 0, errNoRESP},
		"*1\r\n:4\r\n":                          {nil, 0, errNoRESP},
	} {
		words, n, err := readCommand([]byte(in))
		if err != want.err || n != want.n || !cmp.Equal(words, want.words) {
			t.Errorf("%q: %q, %d, %v", in, words, n, err)
		}
	}
}

func FuzzReadCommand(f *testing.F) {
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$1\r\na\r\n"))
	f.Add([]byte("*1\r\n$-1\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		words, n, err := readCommand(b)
		if err == nil && (len(words) == 0 || n <= 0 || n > len(b)) {
			t.Errorf("%q: %q, %d", b, words, n)
		}
	})
}
