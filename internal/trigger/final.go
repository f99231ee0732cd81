package trigger

import "github.com/mepc/mepc-run/internal/failure"

// final reports whether an event is refused for what it is: it would be refused
// again.
func final(err error) bool {
	switch failure.KindOf(err) {
	case failure.Invalid, failure.NotFound, failure.Conflict:
		return true
	}
	return false
}
