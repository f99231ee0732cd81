package on

import (
	"encoding/json"
	"fmt"
)

// written is a Trigger as JSON has it: one that a process which loads recipes tells
// a server of.
type written struct {
	Kind   string          `json:"kind"`
	Where  string          `json:"where"`
	Source json.RawMessage `json:"source"`
}

// sources makes an empty Source of each kind.
func sources() []Source {
	return []Source{&Webhook{}, &Image{}, &Engine{}, &Archive{}, &Redis{}, &Schedule{}}
}

// MarshalJSON implements json.Marshaler.
func (t *Trigger) MarshalJSON() ([]byte, error) {
	source, err := json.Marshal(t.Source)
	if err != nil {
		return nil, err
	}
	return json.Marshal(written{t.Kind(), t.Where, source})
}

// UnmarshalJSON implements json.Unmarshaler. What could not be declared is refused.
func (t *Trigger) UnmarshalJSON(data []byte) error {
	var w written
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	for _, s := range sources() {
		if s.Kind() != w.Kind {
			continue
		}
		if err := json.Unmarshal(w.Source, s); err != nil {
			return err
		}
		if v, ok := s.(interface{ Validate() error }); ok {
			if err := v.Validate(); err != nil {
				return err
			}
		}
		t.Source, t.Where = s, w.Where
		return nil
	}
	return fmt.Errorf("no trigger is of the kind %q", w.Kind)
}
