package queue

import (
	"fmt"
	"strconv"
	"time"
)

// idForm is the time format of an ID, to the second. Behind it come milliseconds, and three
// noughts where a run that was started by hand has drawn digits.
const idForm = "20060102T150405"

// newID returns the ID of a request that came now: in the form of a run's name, and
// later than all before. While the clock is behind them, because it went back, each
// is a millisecond after the one before.
func (q *Queue) newID(now time.Time) string {
	at := now.UTC().Truncate(time.Millisecond)
	if year := at.Year(); year < 1 || year > 9999 || !at.After(q.last) { // such years would not be in order
		at = q.last.Add(time.Millisecond)
	}
	return fmt.Sprintf("%s-%03d000", at.Format(idForm), at.Nanosecond()/1e6)
}

// newest notes an ID that is taken. Anything of another form is not an ID of ours.
func (q *Queue) newest(id string) {
	if at, ok := timeOf(id); ok && at.After(q.last) {
		q.last = at
	}
}

// timeOf returns the time in an ID, or in the name of a run.
func timeOf(id string) (time.Time, bool) {
	const whole = len(idForm + "-000")
	if len(id) < whole || id[len(idForm)] != '-' {
		return time.Time{}, false
	}
	at, err := time.Parse(idForm, id[:len(idForm)])
	ms, err2 := strconv.ParseUint(id[len(idForm)+1:whole], 10, 16)
	return at.Add(time.Duration(ms) * time.Millisecond), err == nil && err2 == nil
}
