package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"

	"github.com/mepc/mepc-run/internal/failure"
)

// A line is lineStart, eight digits of its checksum, lineRest, and the fields of
// its record. The checksum covers everything behind it.
const (
	lineStart = `{"crc":"`
	lineRest  = `",`
	crcDigits = 8
	lineHead  = len(lineStart) + crcDigits
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeLine returns the line of r, with its newline.
func encodeLine(r *Record) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(lineStart)
	b.WriteString("00000000")
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return nil, fmt.Errorf("journal: encode a %s: %w", r.Type, err)
	}
	line := b.Bytes()
	if len(line) > exactMost {
		return nil, failure.New(failure.Invalid, "a %s of %d MiB is more than a journal may hold", r.Type, len(line)>>20).
			WithHint("a line has at most %d MiB: keep large values in a file or an object store, and their names here", exactMost>>20)
	}
	// The encoder wrote {"n":...: its brace stands where the comma belongs, and
	// the quote before that is still missing.
	line = append(line, 0)
	copy(line[lineHead+1:], line[lineHead:])
	copy(line[lineHead:], lineRest)
	copy(line[len(lineStart):], fmt.Sprintf("%08x", crc32.Checksum(line[lineHead:len(line)-1], castagnoli)))
	return line, nil
}

// errTorn is the error of an incomplete line.
var errTorn = errors.New("the line is not whole")

// checkLine returns errTorn unless line, without its newline, is as it was written.
func checkLine(line []byte) error {
	if len(line) < lineHead+len(lineRest) || !bytes.HasPrefix(line, []byte(lineStart)) || !bytes.HasPrefix(line[lineHead:], []byte(lineRest)) {
		return errTorn
	}
	want, err := strconv.ParseUint(string(line[len(lineStart):lineHead]), 16, 32)
	if err != nil || uint32(want) != crc32.Checksum(line[lineHead:], castagnoli) {
		return errTorn
	}
	return nil
}

// typeOf returns the type of a whole line, without reading the rest of it; "" where
// it does not stand where we write it.
func typeOf(line []byte) Type {
	_, rest, found := bytes.Cut(line[:min(len(line), 160)], []byte(`,"type":"`))
	name, _, ended := bytes.Cut(rest, []byte(`"`))
	if !found || !ended {
		return ""
	}
	return Type(name)
}

// decodeLine reads one line, without its newline.
func decodeLine(line []byte) (*Record, error) {
	if err := checkLine(line); err != nil {
		return nil, err
	}
	r := &Record{}
	if err := json.Unmarshal(line, r); err != nil {
		return nil, fmt.Errorf("a whole line that cannot be read: %w", err)
	}
	if !r.complete() {
		return nil, fmt.Errorf("a whole line that lacks what a %s tells", r.Type)
	}
	return r, nil
}

// complete reports whether r has what its type says.
func (r *Record) complete() bool {
	switch r.Type {
	case RunBegins:
		return r.Run != nil
	case SourceRead:
		return r.Source != nil
	case Intent:
		return r.Op != nil
	case Looked:
		return r.Op != nil && r.Result != nil
	case Outcome:
		return r.Result != nil
	case StepBegins, StepEnds:
		return r.Step != nil
	case LogLine:
		return r.Log != nil
	case Deferred, Withdrawn, Undone:
		return r.Undo != nil
	case Kept:
		return r.Memo != nil
	case Found:
		return r.Was != nil
	case Locked:
		return r.Lock != nil
	case Asked, Answered:
		return r.Ask != nil
	case RunEnds:
		return r.End != nil
	case Settled:
		return r.By != nil
	}
	return true // of a later mepc-run
}
