package trigger

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mepc/mepc-run/internal/disk"
)

// seen records what a trigger has dealt with, by name, in a file: what comes while the
// server is away is then noticed, and nothing is twice.
type seen struct {
	path  string
	Fired int               `json:"fired"` // how often, so far
	Names map[string]string `json:"names"`
}

// memory returns what the source has dealt with; fresh says that no one has looked
// before, or that it is lost.
func (s *source) memory() (m *seen, fresh bool, err error) {
	key := fmt.Sprintf("%x", sha256.Sum256([]byte(s.recipe+" "+s.on.String())))[:24]
	m = &seen{path: filepath.Join(s.State, key+".json")}
	data, err := os.ReadFile(m.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fresh, err = true, os.MkdirAll(s.State, 0o700)
	case err == nil && (json.Unmarshal(data, m) != nil || m.Names == nil):
		s.log.Warn("the record of what was seen cannot be read: existing items do not count as new", "file", m.path)
		fresh, m.Names = true, nil
	}
	if m.Names == nil {
		m.Names = map[string]string{}
	}
	return m, fresh, err
}

// delivery names the next event. The same thing may come again later, and is another
// one then; until it is noted that the event was dealt with, it is the same.
func (m *seen) delivery(what string) string { return fmt.Sprintf("%s #%d", what, m.Fired+1) }

// note notes that an event was dealt with.
func (m *seen) note(name, value string) {
	m.Names[name] = value
	m.Fired++
}

// keep writes it down.
func (m *seen) keep() error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return disk.Write(m.path, data)
}
