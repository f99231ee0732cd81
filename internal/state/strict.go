package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"sort"
	"strings"

	"github.com/agext/levenshtein"
)

// maxDepth limits the nesting of a world file.
const maxDepth = 32

// checkJSON walks data beside the type of like and says, with its line, what the
// type has no place for. encoding/json would not say where.
func checkJSON(data []byte, like any) error {
	c := &checker{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	c.dec.UseNumber()
	if err := c.value(reflect.TypeOf(like), "the world file", 0); err != nil {
		return err
	}
	if _, err := c.dec.Token(); !errors.Is(err, io.EOF) {
		return c.fail("there is data after the end of the world file")
	}
	return nil
}

type checker struct {
	data []byte
	dec  *json.Decoder
}

func (c *checker) fail(format string, args ...any) error {
	return fmt.Errorf("line %d: %s", lineOf(c.data, c.dec.InputOffset()), fmt.Sprintf(format, args...))
}

// lineOf returns the line of an offset, which is just behind what was read.
func lineOf(data []byte, offset int64) int {
	offset = min(max(offset-1, 0), int64(len(data)))
	return 1 + bytes.Count(data[:offset], []byte("\n"))
}

// atLine adds the line to an error of encoding/json.
func atLine(data []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d: %s", lineOf(data, syntax.Offset), strings.TrimPrefix(syntax.Error(), "json: "))
	case errors.As(err, &kind):
		return fmt.Errorf("line %d: %s does not fit %s", lineOf(data, kind.Offset), kind.Value, kind.Field)
	}
	return err
}

func (c *checker) token() (json.Token, error) {
	t, err := c.dec.Token()
	if err != nil {
		return nil, c.wrap(err)
	}
	return t, nil
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// value checks one value against the type t; what says where it stands.
func (c *checker) value(t reflect.Type, what string, depth int) error {
	if depth > maxDepth {
		return c.fail("%s is nested too deeply", what)
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(unmarshaler) { // Duration, time.Time: scalars
		var raw json.RawMessage
		if err := c.dec.Decode(&raw); err != nil {
			return c.wrap(err)
		}
		if err := reflect.New(t).Interface().(json.Unmarshaler).UnmarshalJSON(raw); err != nil {
			return c.fail("%s: %v", what, err)
		}
		return nil
	}
	tok, err := c.token()
	if err != nil {
		return err
	}
	if tok == nil {
		return nil
	}
	switch t.Kind() {
	case reflect.Struct:
		if tok != json.Delim('{') {
			return c.fail("%s is not an object", what)
		}
		return c.object(what, depth, fields(t), nil)
	case reflect.Map:
		if tok != json.Delim('{') {
			return c.fail("%s is not an object", what)
		}
		return c.object(what, depth, nil, t.Elem())
	case reflect.Slice:
		if tok != json.Delim('[') {
			return c.fail("%s is not a list", what)
		}
		for n := 1; c.dec.More(); n++ {
			if err := c.value(t.Elem(), fmt.Sprintf("%s, entry %d", what, n), depth+1); err != nil {
				return err
			}
		}
		_, err := c.token()
		return err
	case reflect.String:
		return c.scalar(tok, reflect.TypeFor[string](), "a string", what)
	case reflect.Bool:
		return c.scalar(tok, reflect.TypeFor[bool](), "true or false", what)
	}
	if n, ok := tok.(json.Number); ok {
		if err := json.Unmarshal([]byte(n), reflect.New(t).Interface()); err != nil {
			return c.fail("%s: %s does not fit", what, n)
		}
		return nil
	}
	return c.fail("%s is not a number", what)
}

func (c *checker) wrap(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("line %d: the world file ends too early", lineOf(c.data, int64(len(c.data))))
	}
	return atLine(c.data, err)
}

func (c *checker) scalar(tok json.Token, want reflect.Type, name, what string) error {
	if reflect.TypeOf(tok) != want {
		return c.fail("%s is not %s", what, name)
	}
	return nil
}

// object checks an object with the fields known, or any keys with values of elem.
func (c *checker) object(what string, depth int, known map[string]reflect.Type, elem reflect.Type) error {
	seen := map[string]bool{}
	for c.dec.More() {
		tok, err := c.token()
		if err != nil {
			return err
		}
		key, _ := tok.(string) // the decoder has made sure
		if seen[key] {
			return c.fail("%s: %q is given twice", what, key)
		}
		seen[key] = true
		t := elem
		if known != nil {
			var ok bool
			if t, ok = known[key]; !ok {
				return c.fail("%s: unknown key %q%s", what, key, suggest(key, known))
			}
		}
		if err := c.value(t, key, depth+1); err != nil {
			return err
		}
	}
	_, err := c.token()
	return err
}

// fields returns the keys of a struct with their types.
func fields(t reflect.Type) map[string]reflect.Type {
	out := make(map[string]reflect.Type, t.NumField())
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		out[name] = f.Type
	}
	return out
}

func suggest(key string, known map[string]reflect.Type) string {
	names := make([]string, 0, len(known))
	for n := range known {
		names = append(names, n)
	}
	sort.Strings(names)
	best, distance := "", 3
	for _, n := range names {
		if d := levenshtein.Distance(strings.ToLower(key), n, nil); d < distance {
			best, distance = n, d
		}
	}
	if best == "" {
		return " (known are " + strings.Join(names, ", ") + ")"
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}
