package redis

import (
	"net"
	"sync"

	"github.com/mepc/mepc-run/internal/failure"
)

// outbox is the server's end of a pipe, with room for all that the server answers: a client
// that sends many commands at once reads the first answer when it has sent the last.
type outbox struct {
	net.Conn
	mu      sync.Mutex
	pending []byte
	sending bool
	failed  error
}

// Write never waits for the reader.
func (o *outbox) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil {
		return 0, o.failed
	}
	o.pending = append(o.pending, p...)
	if !o.sending {
		o.sending = true
		failure.Go(func() error { o.send(); return nil })
	}
	return len(p), nil
}

// send hands over what is pending until nothing is.
func (o *outbox) send() {
	for {
		o.mu.Lock()
		p := o.pending
		o.pending = nil
		o.sending = len(p) > 0 && o.failed == nil
		if !o.sending {
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		if _, err := o.Conn.Write(p); err != nil {
			o.mu.Lock()
			o.failed = err
			o.mu.Unlock()
		}
	}
}
