package runtime

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"sort"
	"strings"
	"sync"
)

// Scrubber replaces the secrets it knows in any text, in the forms they take on
// their way out: raw, base64, URL-escaped, JSON-escaped. The zero value knows
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

func formsOf(secret string) []string {
	quoted, _ := json.Marshal(secret)
	return []string{
		secret,
		base64.StdEncoding.EncodeToString([]byte(secret)),
		base64.RawStdEncoding.EncodeToString([]byte(secret)),
		base64.URLEncoding.EncodeToString([]byte(secret)),
		base64.RawURLEncoding.EncodeToString([]byte(secret)),
		url.QueryEscape(secret),
		url.PathEscape(secret),
		strings.Trim(string(quoted), `"`),
	}
}

// Clean returns text with every known secret replaced by [secret].
func (s *Scrubber) Clean(text string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.r == nil {
		return text
	}
	return s.r.Replace(text)
}
