package lab

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// lockedBuffer is a bytes.Buffer for a writer in another goroutine.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func startRedis(t *testing.T, opts RedisOptions) (*Redis, *redis.Client) {
	t.Helper()
	skipShort(t)
	r, err := StartRedis(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	cli, err := r.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cli.Close() })
	return r, cli
}

func TestRedisWantsItsPasswordOnBothAddresses(t *testing.T) {
	t.Parallel()
	const password = `p@ss"w/rd:é `
	r, cli := startRedis(t, RedisOptions{Password: password, TCP: true})
	if err := cli.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	opts, err := redis.ParseURL(r.TCPURL())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(opts.Addr, "127.0.0.1:") {
		t.Errorf("listens on %s, want loopback", opts.Addr)
	}
	for _, pw := range []string{password, "wrong"} {
		opts.Password = pw
		tcp := redis.NewClient(opts)
		defer tcp.Close()
		if got, err := tcp.Get(t.Context(), "k").Result(); (pw == password) != (err == nil && got == "v") {
			t.Errorf("with password %q: got %q, %v", pw, got, err)
		}
	}
}

func TestAKilledRedisComesBackWithWhatItsArgsMadeItKeep(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{"appendonly yes": "v", "appendonly no": ""} {
		r, cli := startRedis(t, RedisOptions{Args: []string{arg, "appendfsync always"}})
		if err := cli.Set(t.Context(), "k", "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if err := r.Kill9(); err != nil {
			t.Fatal(err)
		}
		if err := cli.Ping(t.Context()).Err(); err == nil {
			t.Error("the killed server answers")
		}
		if err := r.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := cli.Get(t.Context(), "k").Result()
		if got != want || (err != nil && !errors.Is(err, redis.Nil)) {
			t.Errorf("%s: got %q, %v; want %q", arg, got, err, want)
		}
	}
}

func TestAPausedRedisHangsAndCanBeResumedOrStopped(t *testing.T) {
	t.Parallel()
	r, cli := startRedis(t, RedisOptions{})
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := cli.Ping(ctx).Err(); err == nil {
		t.Error("a hung server answers")
	}
	if err := r.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := cli.Ping(t.Context()).Err(); err != nil {
		t.Errorf("after Resume: %v", err)
	}
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	dir := r.home.path
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); err == nil {
		t.Errorf("left: %s", dir)
	}
}

func TestARedisThatDoesNotComeUpSaysWhy(t *testing.T) {
	t.Parallel()
	skipShort(t)
	_, err := StartRedis(t.Context(), RedisOptions{Args: []string{"nonsense yes"}})
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("got %v, want the server's own complaint", err)
	}
}
