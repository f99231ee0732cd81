//go:build linux

package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mepc/mepc-run/internal/failure"
)

// A router offers its listening sockets to its successor, on a socket of its
// machine's abstract namespace, to processes of its own user and to root:
//
//	offers, accepts     the sockets    ->
//	                    <-  a byte     the follower has them, and is ready to serve
//	stops               a byte         ->  the follower serves
//	ends                               ->  the follower has the admin address to itself
//
// A follower that leaves before its byte changes nothing.

const handOverPatience = 10 * time.Second

// handoverName is the address of the router that has the port, of the admin address if
// there is one.
func handoverName(port int) *net.UnixAddr {
	return &net.UnixAddr{Net: "unix", Name: "@mepc-run-router:" + strconv.Itoa(port)}
}

func (r *Router) handoverPort() int {
	for _, addr := range []string{r.cfg.Admin, r.cfg.Listen, r.cfg.ListenTLS} {
		if addr != "" {
			return portOf(addr)
		}
	}
	return 0
}

// offer hands ls to a follower, and then has this router stop, which closes the
// connection to the follower when it is over.
func (r *Router) offer(ls []net.Listener) {
	port := r.handoverPort()
	if port == 0 {
		return // of the system's choice: nobody would find us
	}
	door, err := net.ListenUnix("unix", handoverName(port))
	if err != nil {
		r.cfg.Log.Warn("no router can take over from this one", "error", err)
		return
	}
	r.bg.start(func() {
		select {
		case <-r.stopping:
		case <-r.life.Done():
		}
		_ = door.Close()
	})
	r.bg.start(func() {
		for {
			c, err := door.AcceptUnix()
			if err != nil {
				return
			}
			if err := r.handOver(c, ls); err != nil {
				r.cfg.Log.Warn("a router wanted to take over", "error", err)
				_ = c.Close()
				continue
			}
			r.follower = c
			close(r.followed)
			return
		}
	})
}

func (r *Router) handOver(c *net.UnixConn, ls []net.Listener) error {
	if err := ownUser(c); err != nil {
		return err
	}
	_ = c.SetDeadline(r.cfg.Clock.Now().Add(handOverPatience))
	if err := sendListeners(c, ls); err != nil {
		return err
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("it left before it served: %w", err)
	}
	return nil
}

// ownUser refuses a peer of another user.
func ownUser(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	if e := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); e != nil || err != nil {
		return errors.Join(e, err)
	}
	if cred.Uid != 0 && int(cred.Uid) != unix.Getuid() {
		return fmt.Errorf("process %d is of another user", cred.Pid)
	}
	return nil
}

func sendListeners(c *net.UnixConn, ls []net.Listener) error {
	var fds []int
	for _, l := range ls {
		if l == nil {
			continue
		}
		raw, err := l.(syscall.Conn).SyscallConn()
		if err != nil {
			return err
		}
		// The descriptor stays ours while it is sent: ls are open until we stop.
		if err := raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) }); err != nil {
			return err
		}
	}
	_, _, err := c.WriteMsgUnix([]byte{1}, unix.UnixRights(fds...), nil)
	return err
}

// before is the router that this one follows.
type before struct{ conn *net.UnixConn }

// listenerOf makes a listener of a descriptor, which is its own from then on.
func listenerOf(fd int) (net.Listener, error) {
	unix.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close()
	return net.FileListener(f)
}

// find takes the sockets of the router that has our addresses; nil when there is none.
func (r *Router) find(ctx context.Context) (*before, error) {
	c, err := net.DialUnix("unix", nil, handoverName(r.handoverPort()))
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, nil
	}
	if err == nil {
		err = ownUser(c)
	}
	var ls []net.Listener
	if err == nil {
		_ = c.SetDeadline(r.cfg.Clock.Now().Add(handOverPatience))
		ls, err = receiveListeners(c)
	}
	if err != nil {
		return nil, fmt.Errorf("take over from the router that runs: %w", err)
	}
	r.cfg.Inherited = append(ls, r.cfg.Inherited...)
	return &before{c}, nil
}

func receiveListeners(c *net.UnixConn) ([]net.Listener, error) {
	oob := make([]byte, unix.CmsgSpace(16*4))
	_, n, _, _, err := c.ReadMsgUnix(make([]byte, 1), oob)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("it sent no sockets: %w", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	var ls []net.Listener
	for _, fd := range fds {
		l, err := listenerOf(fd)
		if err != nil {
			return nil, err
		}
		ls = append(ls, l)
	}
	return ls, nil
}

// stop has the router before this one stop, and returns when it does.
func (b *before) stop() error {
	if _, err := b.conn.Write([]byte{1}); err != nil {
		return fmt.Errorf("take over from the router that runs: %w", err)
	}
	if _, err := b.conn.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("take over from the router that runs: it does not stop: %w", err)
	}
	return nil
}

// leave lets the router before this one go on.
func (b *before) leave() { _ = b.conn.Close() }

// end returns when the router before this one has served its last request, or ctx ended.
func (b *before) end(ctx context.Context) {
	defer failure.After(ctx, func() { _ = b.conn.Close() })()
	_ = b.conn.SetDeadline(time.Time{})
	_, _ = io.Copy(io.Discard, b.conn)
	_ = b.conn.Close()
}
