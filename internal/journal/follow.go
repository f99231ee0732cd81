package journal

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Tail follows the journal of one run.
type Tail struct {
	dir  *Dir
	id   string
	file *os.File
	rest []byte // of a line that is not whole yet
}

// Follow returns a Tail of the run id, which may have to begin yet.
func (d *Dir) Follow(id string) *Tail { return &Tail{dir: d, id: id} }

// Next returns the records since the last call, and whether there will be no more,
// since the run has ended or its process is gone. Lines that are damaged are left
// out.
func (t *Tail) Next() (records []*Record, over bool, err error) {
	if t.file == nil {
		t.file, err = t.dir.open(t.id)
		if t.file == nil || err != nil {
			return nil, false, err
		}
	}
	dead := !alive(t.file) // before what is read: nothing is written behind it
	data, err := io.ReadAll(t.file)
	if err != nil {
		return nil, false, err
	}
	t.rest = append(t.rest, data...)
	for {
		line, rest, whole := bytes.Cut(t.rest, []byte("\n"))
		if !whole {
			break
		}
		t.rest = rest
		if r, err := decodeLine(line); err == nil {
			records = append(records, r)
			over = over || r.Type == RunEnds
		}
	}
	return records, over || dead, nil
}

// open opens the file of a run, or returns nil when there is none.
func (d *Dir) open(id string) (*os.File, error) {
	if id == "" || id != filepath.Base(id) {
		return nil, nil
	}
	path := filepath.Join(d.runs(), id+openExt)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) { // it has ended
		f, err = os.Open(strings.TrimSuffix(path, openExt) + endedExt)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

// Close ends it.
func (t *Tail) Close() {
	if t.file != nil {
		_ = t.file.Close() // nothing was written
	}
}
