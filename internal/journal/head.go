package journal

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
)

// Head holds what the two ends of a journal say about its run, however long it is.
type Head struct {
	Header
	Ended   *End // nil: it was cut off, or goes on
	Settled *By  // who dealt with it since, if anyone
	Running bool // its process lives; only Dir knows
	// Bad is why its header cannot be read; nothing but its name is known then.
	Bad     error
	Effects int       // how many calls changed something, or may have; -1: not known without reading all of it
	Step    []string  // where the last thing happened that is known, outermost first
	Last    time.Time // when the run was last heard of

	open   bool // its file was not renamed: it goes on, or was cut off
	locked bool // by its process
	n      int  // the number of the last line
}

// ErrNotBegun says that the first line of a journal was never written as a whole: its
// run did nothing.
var ErrNotBegun = errors.New("its first line is missing")

var (
	errNoHeader = errors.New("its first line is damaged")
	errNoEnd    = errors.New("its last line is damaged: it does not tell how the run ended")
	errNoFile   = errors.New("it is not a file")
)

// begin takes the header from the first record that has one.
func (h *Head) begin(r *Record) {
	if r.Run == nil || h.ID != "" || h.Bad != nil {
		return
	}
	if r.Run.Format > Format {
		h.Bad = fmt.Errorf("it is of format %d, and this mepc-run knows formats up to %d: read it with a newer one", r.Run.Format, Format)
		return
	}
	h.Header = *r.Run
	h.Last, h.n = r.Time, r.N
	h.Effects = 0
}

// note takes what a later record tells.
func (h *Head) note(r *Record) {
	h.Last, h.n = r.Time, r.N
	switch r.Type {
	case RunEnds:
		h.Ended, h.Effects = r.End, r.End.Effects
	case Settled:
		h.Settled = r.By
	}
	if h.Ended == nil && h.Format > 1 {
		h.Effects = r.Effects
	}
}

// scope returns the steps around what r tells, if it says.
func (r *Record) scope() (steps []string, known bool) {
	switch r.Type {
	case StepBegins:
		return r.Step.Path, true
	case StepEnds:
		return r.Step.Path[:max(len(r.Step.Path)-1, 0)], true
	case Intent, Looked:
		return r.Op.Scope, true
	case LogLine:
		return r.Log.Path, true
	}
	return nil, false
}

// CutOff reports whether the run neither ended nor goes on, and nobody dealt with
// it since.
func (h *Head) CutOff() bool {
	return h.Bad == nil && h.open && h.Ended == nil && h.Settled == nil && !h.Running
}

// Damage says what cannot be read of the run that should be there, or is nil.
func (h *Head) Damage() error {
	if h.Bad == nil && !h.open && h.Ended == nil && h.Settled == nil {
		return errNoEnd
	}
	return h.Bad
}

// Status is the run's in a word: ok, unchanged, failed, cancelled; running; cut
// off, or what came after; damaged.
func (h *Head) Status() string {
	switch {
	case h.Damage() != nil:
		return "damaged"
	case h.Ended != nil:
		return h.Ended.Status
	case h.Running:
		return "running"
	case h.Settled != nil:
		return h.Settled.How
	}
	return "cut off"
}

// Took returns how long the run took, or has taken as far as is known.
func (h *Head) Took() time.Duration {
	if h.Ended != nil {
		return h.Ended.Duration
	}
	return max(h.Last.Sub(h.Started), 0)
}

const (
	headPart = 4 << 10 // how much of a file is read first, at each end
	tailMost = 1 << 20 // how much of its end at most
)

// glance reads the ends of journals, one after the other. Its buffer holds all of most.
type glance struct{ data [2*headPart + 1]byte }

// head reads the two ends of the journal name. An error says that there is none.
func (d *Dir) head(name string) (*Head, error) { return d.glance(name, &glance{}) }

func (d *Dir) glance(name string, g *glance) (*Head, error) {
	f, name, err := d.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return unreadable(name, err), nil
	}
	defer f.Close()
	h := &Head{open: filepath.Ext(name) == openExt}
	h.locked = h.open && f.alive() // before what is read: nothing is written behind it
	if err := h.readEnds(f, g); err != nil {
		return unreadable(name, err), nil
	}
	h.Running = h.locked && h.Ended == nil
	return h, nil
}

func (h *Head) readEnds(f raw, g *glance) error {
	n, err := f.ReadAt(g.data[:], 0)
	ends, size := ends{held: g.data[:n]}, int64(n)
	if err == nil { // there is more
		ends.rest = f
		size, err = f.size()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	from, err := h.readFirst(&ends)
	if err == nil && h.Bad == nil {
		_, err = h.readTail(&ends, from, size)
	}
	return cmp.Or(err, h.Bad)
}

// ends are parts of a file, of which held is the first.
type ends struct {
	held []byte
	rest io.ReaderAt // all of it; nil: there is no more
}

// part returns n bytes at at, or those that there are.
func (e *ends) part(at, n int64) ([]byte, error) {
	if held := int64(len(e.held)); e.rest == nil || at+n <= held {
		return e.held[min(at, held):min(at+n, held)], nil
	}
	data := make([]byte, n)
	got, err := e.rest.ReadAt(data, at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data[:got], err
}

func unreadable(name string, err error) *Head {
	return &Head{Header: Header{ID: strings.TrimSuffix(name, filepath.Ext(name))}, Bad: failure.Innermost(err)}
}

// readFirst reads the header and returns where it ends.
func (h *Head) readFirst(f *ends) (int64, error) {
	for n := int64(headPart); ; n *= 8 {
		data, err := f.part(0, n)
		if err != nil {
			return 0, err
		}
		line, _, whole := bytes.Cut(data, []byte("\n"))
		if !whole && int64(len(data)) == n && n < maxLine {
			continue
		}
		if whole {
			if r, err := decodeLine(line); err == nil {
				h.begin(r)
			}
		}
		switch {
		case h.Bad != nil || h.ID != "":
		case whole:
			h.Bad = errNoHeader
		default:
			h.Bad = ErrNotBegun
		}
		return int64(len(line)) + 1, nil
	}
}

// readTail takes what the last lines tell, behind from, and returns where the last
// whole one ends; -1 when none is found.
func (h *Head) readTail(f *ends, from, size int64) (int64, error) {
	for n := int64(headPart); ; n *= 8 {
		at := max(size-n, from)
		part, err := f.part(at, max(size-at, 0))
		if err != nil {
			return 0, err
		}
		if at > from { // it may begin within a line
			_, rest, _ := bytes.Cut(part, []byte("\n"))
			at, part = at+int64(len(part)-len(rest)), rest
		}
		end, found := h.lastOf(part)
		switch {
		case found:
			return at + int64(end), nil
		case at <= from:
			return from, nil
		case n >= tailMost:
			h.Effects = -1
			return -1, nil
		}
	}
}

// lastOf takes the last whole line of part, and the scope of the last thing that
// happened; it returns where that line ends.
func (h *Head) lastOf(part []byte) (end int, found bool) {
	part = part[:bytes.LastIndexByte(part, '\n')+1]
	for len(part) > 0 {
		start := bytes.LastIndexByte(part[:len(part)-1], '\n') + 1
		if r, err := decodeLine(part[start : len(part)-1]); err == nil {
			if !found {
				end, found = len(part), true
				if h.Format < 2 {
					h.Effects = -1
				}
				h.note(r)
			}
			var known bool
			if h.Step, known = r.scope(); known || h.Ended != nil || h.Settled != nil {
				break
			}
		}
		part = part[:start]
	}
	return end, found
}
