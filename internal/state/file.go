package state

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Format is the version of world files that this program reads and writes.
const Format = 1

// Decode reads a world file. It is strict: an unknown key, a key that is given
// twice, a value of the wrong type and what follows the end are errors, which
// begin with "line N:".
func Decode(data []byte) (*State, error) {
	if err := checkJSON(data, State{}); err != nil {
		return nil, err
	}
	s := &State{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, atLine(data, err)
	}
	switch s.Format {
	case Format:
	case 0:
		return nil, fmt.Errorf("line 1: this is not a world file: it needs \"mepc_world\": %d", Format)
	default:
		return nil, fmt.Errorf("line 1: the world file has the format %d; this program knows %d", s.Format, Format)
	}
	return s, nil
}

// Encode writes s as a world file. The same state always gives the same bytes.
func (s *State) Encode() ([]byte, error) {
	out := *s
	out.Format = Format
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(&out); err != nil {
		return nil, fmt.Errorf("encode a world file: %w", err)
	}
	return b.Bytes(), nil
}
