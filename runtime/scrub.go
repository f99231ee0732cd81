package runtime

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox/show"
)

// Scrubber replaces the secrets it knows in any text, in the forms they take on
// their way out: raw, base64, hexadecimal, URL-escaped, JSON-escaped, quoted. The zero value knows
// none and is ready to use. It is safe for concurrent use.
type Scrubber struct {
	mu    sync.RWMutex
	known map[string]bool
	forms []string // longest first, so that a secret within another leaves nothing behind
	r     *strings.Replacer
}

// shortest is the length from which a secret is looked for: replacing each "a"
// would hide nothing and garble everything.
const shortest = 4

// Add makes s known. Values shorter than four bytes are not looked for.
func (s *Scrubber) Add(secret string) {
	if len(secret) < shortest {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[secret] {
		return
	}
	if s.known == nil {
		s.known = map[string]bool{}
	}
	s.known[secret] = true
	s.forms = append(s.forms, formsOf(secret)...)
	sort.SliceStable(s.forms, func(i, j int) bool { return len(s.forms[i]) > len(s.forms[j]) })
	pairs := make([]string, 0, 2*len(s.forms))
	for _, f := range s.forms {
		pairs = append(pairs, f, redacted)
	}
	s.r = strings.NewReplacer(pairs...)
}

// formsOf returns what a secret looks like on its way out. Within a longer text
// base64 shows one of three forms, by where the secret begins; of the two that are
// not its own, what its first and last bytes have a part in is left out.
func formsOf(secret string) []string {
	forms := []string{
		secret,
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawStdEncoding.EncodeToString([]byte(secret)),
		base64.URLEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
		url.QueryEscape(secret), url.PathEscape(secret),
		unquoted(strconv.Quote(secret)), hex.EncodeToString([]byte(secret)),
	}
	for _, html := range []bool{false, true} {
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(html)
		_ = enc.Encode(secret) // a string can be encoded
		forms = append(forms, unquoted(strings.TrimSpace(b.String())))
	}
	for skip := range 3 {
		whole := secret[skip : len(secret)-(len(secret)-skip)%3]
		if len(whole) < shortest {
			continue
		}
		forms = append(forms, base64.StdEncoding.EncodeToString([]byte(whole)), base64.URLEncoding.EncodeToString([]byte(whole)))
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// unquoted returns a literal without its quotes.
func unquoted(literal string) string { return literal[1 : len(literal)-1] }

// Clean returns text with every known secret replaced by [secret].
func (s *Scrubber) Clean(text string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.r == nil {
		return text
	}
	return s.r.Replace(text)
}

// How much is kept of each text of an error. A message goes into logs, journals
// and onto screens, where a recipe's 16 MiB are of no use.
const (
	maxText    = 8 << 10
	maxDetails = 64 << 10
)

// cleanError returns err as people may see it.
func (s *Scrubber) cleanError(err error) error {
	if err == nil {
		return nil
	}
	e := failure.As(err)
	if e == nil {
		return errors.New(s.Clean(err.Error()))
	}
	c := *e
	for _, text := range []*string{&c.Target, &c.Message, &c.Hint, &c.State} {
		*text = show.Text(s.Clean(*text), maxText)
	}
	c.Details = show.Text(s.Clean(c.Details), maxDetails)
	return &c
}

// scrubbed shows a run's events to its sinks without secrets. What names things,
// such as a step or a target, was cleaned where it became a name.
type scrubbed struct {
	scrub *Scrubber
	sinks []Sink
}

// Event implements Sink.
func (s scrubbed) Event(ev Event) {
	switch {
	case ev.Result != nil:
		c := *ev.Result
		c.Summary, c.Err = s.scrub.Clean(c.Summary), s.scrub.cleanError(c.Err)
		ev.Result = &c
	case ev.Progress != nil:
		c := *ev.Progress
		c.Text = s.scrub.Clean(c.Text)
		ev.Progress = &c
	case ev.Step != nil:
		c := *ev.Step
		c.Err = s.scrub.cleanError(c.Err)
		ev.Step = &c
	case ev.Undo != nil:
		c := *ev.Undo
		c.Err = s.scrub.cleanError(c.Err)
		ev.Undo = &c
	case ev.Log != nil:
		c := *ev.Log
		c.Text, c.Fields = s.scrub.Clean(c.Text), slices.Clone(c.Fields)
		for i, f := range c.Fields {
			c.Fields[i].Value = s.scrub.Clean(f.Value)
		}
		ev.Log = &c
	}
	var bug error // of one sink: the others get the event all the same
	for _, sink := range s.sinks {
		if err := failure.Protect(func() error { sink.Event(ev); return nil }); bug == nil {
			bug = err
		}
	}
	if bug != nil {
		panic(bug)
	}
}
