package engine

import (
	"errors"
	"regexp"
	"strings"
	"sync"

	"github.com/distribution/reference"
)

// normalize returns a reference as the engine lists it: with its tag, without
// the default registry.
func normalize(ref string) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", refError(err)
	}
	return reference.FamiliarString(reference.TagNameOnly(named)), nil
}

var namedInError = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(` \([^)]*\)`) })

// refError words an error about a reference as 20.10 does: without the name.
func refError(err error) error {
	return errors.New(namedInError().ReplaceAllString(err.Error(), ""))
}

// findImage resolves a reference, an ID or the beginning of one as the engine
// does.
func (e *Engine) findImage(name string) (*image, error) {
	if id, ok := e.tags[name]; ok {
		return e.images[id], nil
	}
	if i := e.images[name]; i != nil {
		return i, nil
	}
	ref, err := reference.ParseAnyReference(name)
	if err != nil {
		return nil, badRequest("%v", refError(err))
	}
	named, ok := ref.(reference.Named)
	if !ok { // 64 hexadecimal digits
		digest := ref.String()
		if i := e.images[digest]; i != nil {
			return i, nil
		}
		return nil, notFound("No such image: %s", digest)
	}
	familiar := reference.FamiliarString(reference.TagNameOnly(named))
	if id, ok := e.tags[familiar]; ok {
		return e.images[id], nil
	}
	if i := e.imageByPrefix(name); i != nil {
		return i, nil
	}
	return nil, notFound("No such image: %s", familiar)
}

// imageByPrefix returns the one image whose ID begins so.
func (e *Engine) imageByPrefix(prefix string) *image {
	prefix = strings.TrimPrefix(prefix, "sha256:")
	if !isHex(prefix) {
		return nil
	}
	var found *image
	for id, i := range e.images {
		if strings.HasPrefix(id[len("sha256:"):], prefix) {
			if found != nil {
				return nil
			}
			found = i
		}
	}
	return found
}

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}
