package std

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox"
	"github.com/mepc/mepc-run/runtime"
)

func (s *Std) json() runtime.Module {
	return runtime.Module{
		Name: "json", Doc: "JSON text from and to Lua values.", Self: s,
		Funcs: []runtime.Func{
			{
				Name: "encode",
				Doc: "Writes a value as JSON. A table whose keys are 1..n is an array, any other an object with sorted keys; " +
					"an empty one is {}.",
				Returns: "the text",
				Raises:  []runtime.Kind{failure.Invalid},
				Example: `assert(json.encode({name="app", ports={80, 443}}) == '{"name":"app","ports":[80,443]}')`,
				Call:    runtime.Inline((*Std).encode),
			},
			{
				Name:    "decode",
				Doc:     "Reads JSON. null becomes nil: such a field is absent, such an item of a list leaves a gap.",
				Returns: "the value",
				Raises:  []runtime.Kind{failure.Invalid},
				Example: `assert(json.decode('{"tags":["1.0","1.1"]}').tags[2] == "1.1")`,
				Call:    runtime.Inline((*Std).decode),
			},
		},
	}
}

type encodeArgs struct {
	Value  runtime.Value `lua:"value,pos" doc:"what to write"`
	Indent int           `lua:"indent" default:"0" min:"0" max:"8" doc:"spaces a level; 0: all in one line"`
}

func (s *Std) encode(c *runtime.Call, a *encodeArgs) (string, error) {
	w := &jsonWriter{b: c.Builder(), indent: "        "[:a.Indent]}
	if err := w.value(a.Value, "\n"); err != nil {
		return "", failure.New(failure.Invalid, "%s", err)
	}
	return w.b.String(), nil
}

// jsonWriter writes a plain value part by part, so that what it writes never is
// longer than a text may be.
type jsonWriter struct {
	b      *sandbox.Builder
	indent string
}

func (w *jsonWriter) value(v runtime.Value, line string) error {
	switch v := v.(type) {
	case string:
		return w.text(v)
	case []runtime.Value:
		return w.list('[', ']', len(v), line, func(i int, line string) error { return w.value(v[i], line) })
	case map[string]runtime.Value:
		keys := slices.Sorted(maps.Keys(v))
		return w.list('{', '}', len(keys), line, func(i int, line string) error {
			if err := w.text(keys[i]); err != nil {
				return err
			}
			w.b.WriteByte(':')
			if w.indent != "" {
				w.b.WriteByte(' ')
			}
			return w.value(v[keys[i]], line)
		})
	}
	return w.plain(v)
}

func (w *jsonWriter) list(open, end byte, n int, line string, item func(i int, line string) error) error {
	w.b.WriteByte(open)
	below := line + w.indent
	for i := range n {
		if i > 0 {
			w.b.WriteByte(',')
		}
		if w.indent != "" {
			w.b.WriteString(below)
		}
		if err := item(i, below); err != nil {
			return err
		}
	}
	if w.indent != "" && n > 0 {
		w.b.WriteString(line)
	}
	return w.b.WriteByte(end)
}

// textPart is how much of a text is written at once.
const textPart = 16 << 10

func (w *jsonWriter) text(s string) error {
	w.b.WriteByte('"')
	for len(s) > 0 {
		n := min(len(s), textPart)
		for n < len(s) && n > textPart-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		part, err := encodeJSON(s[:n])
		if err != nil {
			return err
		}
		w.b.Write(part[1 : len(part)-1])
		s = s[n:]
	}
	return w.b.WriteByte('"')
}

func (w *jsonWriter) plain(v any) error {
	text, err := encodeJSON(v)
	w.b.Write(text)
	return err
}

func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

type decodeArgs struct {
	Text string `lua:"text,pos,required" doc:"the JSON"`
}

// valueBytes is what a value of decoded JSON takes, about: in Go, then in Lua.
const valueBytes = 120

// values counts the values of a JSON text, or more.
func values(text string) int {
	n, quoted := 1, false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			quoted = !quoted
		case '\\':
			i++
		case ',', '[', '{', ':':
			if !quoted {
				n++
			}
		}
	}
	return n
}

func (s *Std) decode(c *runtime.Call, a *decodeArgs) (runtime.Value, error) {
	c.TakeIn(len(a.Text) + valueBytes*values(a.Text))
	dec := json.NewDecoder(bytes.NewReader([]byte(a.Text)))
	var v runtime.Value
	if err := dec.Decode(&v); err != nil {
		return nil, failure.New(failure.Invalid, "not JSON: %s", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, failure.New(failure.Invalid, "not JSON: more follows after the value, at byte %d", dec.InputOffset())
	}
	return v, nil
}
