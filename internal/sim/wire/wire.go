// Package wire has the errors and addresses of simulated connections, as real ones
// have them.
package wire

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
)

// Refused is the error of a connection that nothing accepts.
func Refused(network, address string) error {
	return &net.OpError{Op: "dial", Net: network, Addr: Addr{network, address}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// Reset is the error of a connection that is cut.
func Reset() error { return fmt.Errorf("read: %w", syscall.ECONNRESET) }

// Addr is an address of the world.
type Addr struct{ Protocol, Address string }

// Network returns the protocol.
func (a Addr) Network() string { return a.Protocol }
func (a Addr) String() string  { return a.Address }

// CloseBody closes the body of a request, if it has one, as a transport must.
func CloseBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}
