package bluegreen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

func (d *deployment) key() string  { return "frontend:" + d.Host }
func (d *deployment) dead() string { return "dead:" + d.Host }

// claim says that this release is being deployed; the last to say so may.
func (d *deployment) claim(ctx context.Context) error {
	now, err := d.store.Get(ctx, d.claimKey()).Result()
	if errors.Is(err, redis.Nil) || err == nil && now != d.name {
		err = d.store.Set(ctx, d.claimKey(), d.name, 24*time.Hour).Err()
	}
	return err
}

func (d *deployment) claimKey() string { return "mepc:deploying:" + d.App }

func (d *deployment) claimed(ctx context.Context, r redis.Cmdable) error {
	now, err := r.Get(ctx, d.claimKey()).Result()
	if err == nil && now != d.name {
		err = fmt.Errorf("%s is being deployed by someone who began later", now)
	}
	return err
}

// list returns the host's routing list: an identifier, then URLs.
func (d *deployment) list(ctx context.Context, r redis.Cmdable) ([]string, error) {
	return r.LRange(ctx, d.key(), 0, -1).Result()
}

// backends returns the URLs in all hosts' lists.
func (d *deployment) backends(ctx context.Context) (map[string]bool, error) {
	urls := map[string]bool{}
	for cursor := uint64(0); ; {
		keys, next, err := d.store.Scan(ctx, cursor, "frontend:*", 1000).Result()
		if err != nil {
			return nil, err
		}
		lists, err := d.store.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, key := range keys {
				p.LRange(ctx, key, 1, -1)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, list := range lists {
			for _, url := range list.(*redis.StringSliceCmd).Val() {
				urls[url] = true
			}
		}
		if cursor = next; cursor == 0 {
			return urls, nil
		}
	}
}

// ready asks whether there is somebody to ask later.
func (d *deployment) ready(ctx context.Context) error {
	if _, err := ask(ctx, d.Router+"/version", d.Host); err != nil {
		return fmt.Errorf("the router does not answer: %w", err)
	}
	if _, err := get(ctx, d.Admin+"/-/inflight", ""); err != nil {
		return fmt.Errorf("the router's admin server does not answer: %w", err)
	}
	return nil
}

// moveTraffic makes url the host's only backend, if the list still is before
// and nobody else deploys.
func (d *deployment) moveTraffic(ctx context.Context, before []string, url string) error {
	err := d.store.Watch(ctx, func(tx *redis.Tx) error {
		if err := d.claimed(ctx, tx); err != nil {
			return err
		}
		now, err := d.list(ctx, tx)
		if err != nil {
			return err
		}
		if !slices.Equal(now, before) {
			return fmt.Errorf("%s was changed by someone else", d.key())
		}
		var inserted *redis.IntCmd
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			if len(before) == 0 {
				inserted = p.RPush(ctx, d.key(), d.App, url)
			} else {
				inserted = p.LInsertAfter(ctx, d.key(), before[0], url)
				p.LTrim(ctx, d.key(), 0, 1)
			}
			p.Del(ctx, d.dead())
			return nil
		})
		if err == nil && inserted.Val() < 1 {
			err = fmt.Errorf("%s was not as expected", d.key())
		}
		return err
	}, d.key(), d.claimKey())
	if err != nil {
		return fmt.Errorf("switch %s: %w", d.Host, err)
	}
	return nil
}

// confirm asks the router until ten answers in a row come from the new release.
func (d *deployment) confirm(ctx context.Context) error {
	end := d.clock.Now().Add(15 * time.Second)
	for row := 0; row < 10; {
		body, err := get(ctx, d.Router+"/version", d.Host)
		if err == nil && strings.Contains(body, d.Expect) {
			row++
			continue
		}
		row = 0
		if err := d.alive(ctx); err != nil {
			return err
		}
		if d.clock.Now().After(end) {
			return fmt.Errorf("the router does not send to the new release: %q, %v", body, err)
		}
		if err := d.clock.Sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return d.alive(ctx)
}

// drain waits until the router has no request in flight with any of urls.
func (d *deployment) drain(ctx context.Context, urls []string) error {
	if err := d.clock.Sleep(ctx, d.Drain); err != nil {
		return err
	}
	for end := d.clock.Now().Add(time.Minute); ; {
		body, err := get(ctx, d.Admin+"/-/inflight", "")
		if err != nil {
			return fmt.Errorf("watch the drain: %w", err)
		}
		var seen struct {
			Source   string
			Backends []struct {
				URL      string
				InFlight int `json:"in_flight"`
				Listed   bool
			}
		}
		if err := json.Unmarshal([]byte(body), &seen); err != nil {
			return fmt.Errorf("watch the drain: %w", err)
		}
		busy := seen.Source != "redis"
		for _, b := range seen.Backends {
			if slices.Contains(urls, b.URL) && (b.InFlight > 0 || b.Listed) {
				busy = true
			}
		}
		if !busy || d.clock.Now().After(end) {
			return nil
		}
		if err := d.clock.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// get asks for url, and takes only a good answer for one.
func get(ctx context.Context, url, host string) (string, error) {
	a, err := ask(ctx, url, host)
	if err == nil && a.status >= 400 {
		err = fmt.Errorf("status %d", a.status)
	}
	return a.body, err
}

type answer struct {
	status int
	body   string
}

// ask asks for url on a connection of its own.
func ask(ctx context.Context, url, host string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{}, err
	}
	req.Host, req.Close = host, true
	t := &http.Transport{DisableKeepAlives: true}
	res, err := t.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return answer{res.StatusCode, string(body)}, err
}
