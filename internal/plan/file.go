package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Encode returns the plan as a file.
func (p *Plan) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // symbols
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		return nil, fmt.Errorf("encode the plan: %w", err)
	}
	return b.Bytes(), nil
}

// Decode reads what Encode wrote. It is strict: an unknown key, a value of the
// wrong type, another version, and what follows the end are errors, which say
// the line.
func Decode(data []byte) (*Plan, error) {
	var head struct {
		Format *int `json:"mepc_plan"`
	}
	switch err := json.Unmarshal(data, &head); {
	case len(bytes.TrimSpace(data)) == 0:
		return nil, errors.New("it is empty")
	case err != nil && !errors.As(err, new(*json.UnmarshalTypeError)):
		return nil, at(data, err, 0)
	case head.Format == nil:
		return nil, errors.New(`it is not a plan: it has no "mepc_plan"`)
	case *head.Format != Format:
		return nil, fmt.Errorf("it is a plan of format %d, and this program reads format %d", *head.Format, Format)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	p := &Plan{}
	if err := dec.Decode(p); err != nil {
		return nil, at(data, err, dec.InputOffset())
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line %d: there is data after the end of the plan", line(data, dec.InputOffset()))
	}
	return p, p.check()
}

// check refuses what no rehearsal writes.
func (p *Plan) check() error {
	if p.Recipe.Name == "" || len(p.Recipe.Hash) != 64 {
		return errors.New("it lacks the recipe or its hash")
	}
	for _, e := range p.Effects() {
		if e.Op == "" || e.Class != "write" && e.Class != "destructive" {
			return fmt.Errorf("an effect is incomplete: %q of class %q", e.Op, e.Class)
		}
	}
	return nil
}

// at adds the line to an error of encoding/json.
func at(data []byte, err error, offset int64) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	text := strings.TrimPrefix(err.Error(), "json: ")
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), text == "unexpected end of JSON input":
		return fmt.Errorf("line %d: it ends too early: it was cut off", line(data, int64(len(data))))
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
		text = fmt.Sprintf("%s cannot be %s", kind.Value, kind.Field)
	}
	return fmt.Errorf("line %d: %s", line(data, offset), text)
}

func line(data []byte, offset int64) int {
	offset = min(max(offset-1, 0), int64(len(data)))
	return 1 + bytes.Count(data[:offset], []byte("\n"))
}
