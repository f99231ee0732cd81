package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
)

// load is requests at a steady rate.
type load struct {
	begin  time.Time
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu       sync.Mutex
	requests []request
}

type request struct {
	due time.Time
	end time.Time
	err error
}

type span struct{ begin, end time.Time }

// startLoad begins to ask the router at url for host.
func startLoad(ctx context.Context, url, host string) *load {
	var wall clock.Wall
	l := &load{begin: wall.Now()}
	ctx, l.cancel = context.WithCancel(ctx)
	kept := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 10 * time.Second}
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	l.done.Go(func() {
		defer kept.CloseIdleConnections()
		var asked sync.WaitGroup
		defer asked.Wait()
		for i := range 1 << 30 {
			due := l.begin.Add(time.Duration(i) * time.Second / rate)
			if wall.Sleep(ctx, due.Sub(wall.Now())) != nil {
				return
			}
			client := kept
			if i%2 == 1 {
				client = fresh
			}
			asked.Go(func() { l.add(request{due: due, err: ask(client, url, host), end: wall.Now()}) })
		}
	})
	return l
}

// stop ends the load once all requests are answered.
func (l *load) stop() {
	l.cancel()
	l.done.Wait()
}

func (l *load) add(r request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = append(l.requests, r)
}

// latency returns how long the requests that fell into spans took, in
// milliseconds. Call it after stop.
func (l *load) latency(spans []span) sample {
	var s sample
	for _, r := range l.requests {
		for _, in := range spans {
			if r.err == nil && !r.due.Before(in.begin) && r.due.Before(in.end) {
				s.addMillis(r.end.Sub(r.due))
				break
			}
		}
	}
	return s
}

func ask(client *http.Client, url, host string) error {
	req, err := http.NewRequest(http.MethodGet, url+"/", nil)
	if err != nil {
		return err
	}
	req.Host = host
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", res.Status)
	}
	return nil
}
