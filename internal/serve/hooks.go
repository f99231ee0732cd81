package serve

import (
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/internal/say"
	"github.com/mepc/mepc-run/modules/on"
)

// hookKeys reads the secrets that requests are signed with. Each is read again when it is
// as old as fresh: sending requests cannot make the server read more often.
type hookKeys struct {
	*Server
	mu   sync.Mutex
	read map[string]key
}

type key struct {
	text string
	err  error
	at   time.Time
}

const (
	fresh     = 10 * time.Second
	minSecret = 16 // how long a key is at least
)

// of returns the secret of a name, or why it cannot be used.
func (k *hookKeys) of(name string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.opts.Clock.Now()
	if known, ok := k.read[name]; ok && now.Sub(known.at).Abs() < fresh {
		return known.text, known.err
	}
	got := key{at: now}
	if read := k.opts.Secrets[name]; read == nil {
		got.err = failure.New(failure.NotFound, "it is not declared: start the server with --secret %s=env:VARIABLE or file:PATH", name)
	} else if got.text, got.err = read(); got.err == nil && len(got.text) < minSecret {
		got.err = failure.New(failure.Invalid, "it has fewer than %d characters and could be guessed", minSecret)
	}
	k.read[name] = got
	return got.text, got.err
}

// warnings says which webhooks of a recipe can take nothing, and why.
func (s *Server) warnings(r *reload.Recipe) []string {
	if r.Version == nil {
		return nil
	}
	var all []string
	for _, t := range r.Version.Triggers {
		hook, ok := t.Source.(*on.Webhook)
		switch {
		case !ok:
		case hook.Secret == "" && s.opts.Token == "":
			all = append(all, t.Where+": the webhook accepts nothing: it names no secret, and this address needs no token")
		case hook.Secret != "":
			if _, err := s.keys.of(hook.Secret); err != nil {
				all = append(all, t.Where+": the webhook accepts nothing: the secret "+hook.Secret+" cannot be used: "+say.Clip(err.Error(), maxShown))
			}
		}
	}
	return all
}

// warn tells the log of webhooks that can take nothing, as recipes change, until the
// server stops.
func (s *Server) warn() {
	told := map[string]bool{}
	for {
		changed := s.opts.Recipes.Changed()
		now := map[string]bool{}
		for _, r := range s.opts.Recipes.Recipes() {
			for _, text := range s.warnings(r) {
				now[text] = true
				if !told[text] {
					s.opts.Log.Warn("a webhook cannot be called", "recipe", r.Name, "error", text)
				}
			}
		}
		told = now
		select {
		case <-changed:
		case <-s.ending.Done():
			return
		}
	}
}

// sparing lets through a limited number of lines a minute: senders of requests must not fill
// the log.
type sparing struct {
	mu     sync.Mutex
	minute time.Time
	lines  int
}

const refusals = 20 // a minute

// allow reports whether a line may be logged, and how many before it were not.
func (s *sparing) allow(now time.Time) (ok bool, left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.minute).Abs() >= time.Minute {
		left = max(0, s.lines-refusals)
		s.minute, s.lines = now, 0
	}
	s.lines++
	return s.lines <= refusals, left
}
