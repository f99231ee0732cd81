package trigger

import "time"

// SetBlock makes reads of streams wait for d until it is called again.
func SetBlock(d time.Duration) (restore func()) {
	was := block
	block = d
	return func() { block = was }
}
