package app

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mepc/mepc-run/internal/disk"
	"github.com/mepc/mepc-run/internal/router"
)

// savedByDefault stands for a file that is this router's own: of its Redis and its address.
const savedByDefault = "auto"

// maxTable bounds a saved table: 10,000 hosts take 2 MB.
const maxTable = 256 << 20

// tableFile returns where the router keeps its table; nil for nowhere.
func (c *routerCmd) tableFile(endpoint string) router.Keeper {
	switch c.table {
	case "":
		return nil
	case savedByDefault:
	default:
		return tableFile(c.table)
	}
	dir := c.env.Getenv("STATE_DIRECTORY") // systemd's
	if dir == "" {
		state, err := c.stateDir()
		if err != nil {
			return nil // a machine without a home has none
		}
		dir = filepath.Join(state.Path(), "router")
	}
	digest := sha256.Sum256([]byte(endpoint + " " + cmp.Or(c.Listen, c.ListenTLS)))
	return tableFile(filepath.Join(dir, fmt.Sprintf("table-%x.json", digest[:6])))
}

// tableFile is a router.Keeper.
type tableFile string

func (f tableFile) Load() ([]byte, error) {
	info, err := os.Stat(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && info.Size() > maxTable {
		err = fmt.Errorf("%s has %d bytes", f, info.Size())
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(string(f))
}

// Save writes beside the file and renames, so that it is always a whole one.
func (f tableFile) Save(b []byte) error {
	if err := os.MkdirAll(filepath.Dir(string(f)), 0o700); err != nil {
		return err
	}
	return disk.Write(string(f), b)
}
