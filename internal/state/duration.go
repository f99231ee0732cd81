package state

import (
	"encoding/json"
	"fmt"
	"time"
)

// Duration is a time.Duration that a world file writes as "1m30s" or as a number
// of seconds.
type Duration time.Duration

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns d as "1m30s".
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalJSON writes "1m30s".
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads "1m30s" or a number of seconds; negative ones are refused.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
	case float64:
		if v < 0 || v > 1e9 {
			return fmt.Errorf("duration %v is not between 0 and 1e9 seconds", v)
		}
		*d = Duration(v * float64(time.Second))
	case string:
		p, err := time.ParseDuration(v)
		if err != nil || p < 0 {
			return fmt.Errorf("%q is not a duration such as \"2s\" or \"1m30s\"", v)
		}
		*d = Duration(p)
	default:
		return fmt.Errorf("a duration is a string such as \"2s\" or a number of seconds, not %s", b)
	}
	return nil
}
