package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// think is a client's pause between two requests.
const think = 20 * time.Millisecond

// load is the audience: clients that ask for the app without a pause, half of
// them on fresh connections.
type load struct {
	url    string
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	scenes []scene
	first  string // the first failure, in words
}

// scene counts what was asked between two calls of settle.
type scene struct {
	name           string
	served, failed int
	versions       map[string]int
}

func newLoad(url string) *load { return &load{url: url, scenes: []scene{{}}} }

func (l *load) start(ctx context.Context) {
	ctx, l.cancel = context.WithCancel(ctx)
	for i := range clients {
		l.done.Go(func() {
			t := &http.Transport{DisableKeepAlives: i%2 == 0}
			defer t.CloseIdleConnections()
			c := &http.Client{Transport: t, Timeout: 10 * time.Second}
			for ctx.Err() == nil {
				answer, err := ask(ctx, c, l.url)
				if ctx.Err() == nil {
					l.count(answer, err)
				}
				time.Sleep(think)
			}
		})
	}
}

func (l *load) stop() {
	if l.cancel != nil {
		l.cancel()
		l.done.Wait()
	}
}

// ask returns the first line of the app's answer.
func ask(ctx context.Context, c *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/", nil)
	if err != nil {
		return "", err
	}
	req.Host = host
	res, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<16))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d: %s", res.StatusCode, line)
	}
	return line, nil
}

func (l *load) count(answer string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := &l.scenes[len(l.scenes)-1]
	if err != nil {
		now.failed++
		if l.first == "" {
			l.first = err.Error()
		}
		return
	}
	now.served++
	if now.versions == nil {
		now.versions = map[string]int{}
	}
	now.versions[answer]++
}

// settle lets the audience ask on for a moment, then closes the scene under
// name.
func (l *load) settle(ctx context.Context, name string) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Second):
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := &l.scenes[len(l.scenes)-1]
	now.name = name
	fmt.Printf("   %d requests served, %d failed\n", now.served, now.failed)
	l.scenes = append(l.scenes, scene{})
	return nil
}

// print writes the table of scenes and returns how many requests failed.
func (l *load) print() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	served, failed := 0, 0
	fmt.Printf("%-28s %8s %8s\n", "", "served", "failed")
	for _, s := range l.scenes {
		if s.name == "" {
			continue
		}
		fmt.Printf("%-28s %8d %8d\n", s.name, s.served, s.failed)
		served, failed = served+s.served, failed+s.failed
	}
	fmt.Printf("%-28s %8d %8d\n", "in all", served, failed)
	if l.first != "" {
		fmt.Println("first failure:", l.first)
	}
	return failed
}
