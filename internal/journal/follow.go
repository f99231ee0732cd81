package journal

import (
	"bytes"
	"io"
)

// Tail follows the journal of one run.
type Tail struct {
	dir  *Dir
	id   string
	file raw // -1: it has to begin yet
	at   int64
	rest []byte // of a line that is not whole yet
}

// Follow returns a Tail of the run id, which may have to begin yet.
func (d *Dir) Follow(id string) *Tail { return &Tail{dir: d, id: id, file: -1} }

// part is the number of bytes read at once.
const part = 1 << 20

// Next returns the records since the last call, as many as are read at once, and
// whether there will be no more, since the run has ended or its process is gone.
// Lines that are damaged are left out.
func (t *Tail) Next() (records []*Record, over bool, err error) {
	if t.file < 0 {
		if !isID(t.id) {
			return nil, false, nil
		}
		t.file, _, err = t.dir.open(t.id + openExt)
		if err != nil {
			return nil, false, absent(err)
		}
	}
	dead := !t.file.alive() // before what is read: nothing is written behind it
	data, err := io.ReadAll(io.LimitReader(t.file.from(t.at), part))
	if err != nil {
		return nil, false, err
	}
	t.at += int64(len(data))
	dead = dead && len(data) < part // else there may be more
	t.rest = append(t.rest, data...)
	if len(t.rest) > maxLine {
		t.rest = nil // no line of ours: what is left of it is damaged, too
	}
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

// Close ends it.
func (t *Tail) Close() {
	if t.file >= 0 {
		_ = t.file.Close()
	}
}
