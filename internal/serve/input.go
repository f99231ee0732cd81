package serve

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/say"
)

// runID is the form of a run's name: what has another one names no run, and no file.
var runID = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}-[0-9a-f]{6}(-[0-9]{1,4})?$`)

// maxText is the maximum length of a name in a path or a query.
const maxText = 512

// wellFormed refuses a path and a query that mean nothing to a route, before anything
// is looked up by them.
func (rt *route) wellFormed(r *http.Request) error {
	for _, m := range pathParam.FindAllStringSubmatch(rt.Path, -1) {
		name, text := m[1], r.PathValue(m[1])
		if err := plainText(name, text); err != nil {
			return err
		}
		if name == "id" && !runID.MatchString(text) {
			return failure.New(failure.NotFound, "no run %s", text)
		}
	}
	if rt.Open || rt.Query == nil && !strings.HasPrefix(rt.Path, "/api/") {
		return nil // a probe may add what it likes
	}
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return failure.New(failure.Invalid, "the query cannot be read")
	}
	for name, texts := range given {
		if !slices.ContainsFunc(rt.Query, func(q query) bool { return q.Name == name }) {
			return failure.New(failure.Invalid, "unknown query parameter %q", say.Clip(name, maxShown))
		}
		if len(texts) > 1 {
			return failure.New(failure.Invalid, "%s is given %d times", name, len(texts))
		}
		if err := plainText(name, texts[0]); err != nil {
			return err
		}
	}
	if before := given.Get("before"); before != "" && !runID.MatchString(before) {
		return failure.New(failure.Invalid, "before must be the name of a run, not %q", before)
	}
	return nil
}

// plainText refuses text that cannot be a name.
func plainText(name, text string) error {
	switch {
	case len(text) > maxText:
		return failure.New(failure.Invalid, "%s is longer than %d bytes", name, maxText)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return failure.New(failure.Invalid, "%s is not plain text", name)
	}
	return nil
}

// maxShown limits how much is shown of a text that someone else wrote.
const maxShown = 1000
