package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
)

// A line is lineStart, eight digits of its checksum, lineRest, and the fields of
// its record. The checksum is that of everything behind it.
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
	// The encoder wrote {"n":...: its brace stands where the comma belongs, and
	// the quote before that is still missing.
	line = append(line, 0)
	copy(line[lineHead+1:], line[lineHead:])
	copy(line[lineHead:], lineRest)
	copy(line[len(lineStart):], fmt.Sprintf("%08x", crc32.Checksum(line[lineHead:len(line)-1], castagnoli)))
	return line, nil
}

// errTorn is that of a line that is not whole.
var errTorn = errors.New("the line is not whole")

// decodeLine reads one line, without its newline.
func decodeLine(line []byte) (*Record, error) {
	if len(line) < lineHead+len(lineRest) || !bytes.HasPrefix(line, []byte(lineStart)) || !bytes.HasPrefix(line[lineHead:], []byte(lineRest)) {
		return nil, errTorn
	}
	want, err := strconv.ParseUint(string(line[len(lineStart):lineHead]), 16, 32)
	if err != nil || uint32(want) != crc32.Checksum(line[lineHead:], castagnoli) {
		return nil, errTorn
	}
	r := &Record{}
	if err := json.Unmarshal(line, r); err != nil {
		return nil, fmt.Errorf("a whole line that cannot be read: %w", err)
	}
	return r, nil
}
