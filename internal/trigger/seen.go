package trigger

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// seen is what a trigger has dealt with, by name, in a file: what comes while the
// server is away is then noticed, and nothing is twice.
type seen struct {
	path  string
	names map[string]string
}

// memory returns what the source has dealt with; fresh says that nobody has looked
// before.
func (s *source) memory() (m *seen, fresh bool, err error) {
	key := fmt.Sprintf("%x", sha256.Sum256([]byte(s.recipe+" "+s.on.String())))[:24]
	m = &seen{filepath.Join(s.State, key+".json"), map[string]string{}}
	data, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, true, os.MkdirAll(s.State, 0o700)
	}
	if err == nil {
		err = json.Unmarshal(data, &m.names)
	}
	return m, false, err
}

// keep writes it down.
func (m *seen) keep() error {
	data, err := json.Marshal(m.names)
	if err != nil {
		return err
	}
	if err := os.WriteFile(m.path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(m.path+".new", m.path)
}
