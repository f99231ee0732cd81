package docker

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/distribution/reference"

	"github.com/mepc/mepc-run/internal/failure"
)

var (
	newName  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`) })
	nameOrID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^/?[a-zA-Z0-9][a-zA-Z0-9_.-]*$`) })
)

// checkNewName refuses what the engine refuses as the name of a container or a
// network, before anything is sent. The text is quoted: it may hold control
// characters.
func checkNewName(option, name string) error {
	if newName().MatchString(name) {
		return nil
	}
	return fmt.Errorf("%s: %q is not a name: two or more of a-z, A-Z, 0-9, _, . and -, the first a letter or a digit", option, name)
}

// checkRef refuses what cannot be the name or ID of a container or a network.
// Nothing else may reach the path of a request.
func checkRef(option, ref string) error {
	if nameOrID().MatchString(ref) {
		return nil
	}
	return fmt.Errorf("%s: %q is neither a name nor an ID", option, ref)
}

// checkImage refuses what cannot be an image's name or ID.
func checkImage(option, image string) error {
	if _, err := reference.ParseAnyReference(image); err != nil {
		return fmt.Errorf("%s: %q is neither an image's name nor an ID: %s", option, image, strings.TrimPrefix(err.Error(), "invalid reference format: "))
	}
	return nil
}

// checkNamed refuses what is not an image's name, with a tag or a digest or
// neither: what a registry can have.
func checkNamed(option, image string) error {
	if _, err := reference.ParseNormalizedNamed(image); err != nil {
		return fmt.Errorf("%s: %q is not an image's name: %s", option, image, strings.TrimPrefix(err.Error(), "invalid reference format: "))
	}
	return nil
}

// checkTag refuses what cannot name an image: an ID or a digest cannot.
func checkTag(option, tag string) (reference.NamedTagged, error) {
	named, err := reference.ParseNormalizedNamed(tag)
	if err != nil {
		return nil, fmt.Errorf("%s: %q is not an image's name: %s", option, tag, strings.TrimPrefix(err.Error(), "invalid reference format: "))
	}
	if _, digested := named.(reference.Digested); digested {
		return nil, fmt.Errorf("%s: %q has a digest, which is not for us to give", option, tag)
	}
	return reference.TagNameOnly(named).(reference.NamedTagged), nil
}

// shortHex is what an engine also takes for the beginning of an ID. A name such
// as "db" is one: where nothing has the name, the engine would act on whatever
// has an ID that begins so.
var shortHex = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-f]{1,11}$`) })

// meant reports whether something with that name and ID is what ref was written
// for: an ID counts from 12 digits.
func meant(ref, name, id string) bool {
	return !shortHex().MatchString(ref) || strings.TrimPrefix(name, "/") == ref || id == ref
}

func notMeant(noun, ref string) error {
	return failure.New(failure.NotFound, "no such %s: %s", noun, ref).WithHint("to name one by its ID, write 12 digits or more")
}

// short cuts an ID as the docker CLI shows it.
func short(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	if len(id) > 12 {
		return id[:12]
	}
	return id
}

// isKind reports whether err carries kind.
func isKind(err error, kind failure.Kind) bool { return err != nil && failure.KindOf(err) == kind }

// orNil is what a recipe gets of something that it looks for: nil where there is none.
func orNil[R, T any](raw R, err error, show func(R) *T) (*T, error) {
	switch {
	case isKind(err, failure.NotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return show(raw), nil
}

// hint sets what to do next on an error of kind that says nothing of it yet.
func hint(err error, kind failure.Kind, format string, args ...any) error {
	e := failure.As(err)
	if e == nil || e.Kind != kind || e.Hint != "" {
		return err
	}
	return e.WithHint(format, args...)
}
