package router

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// acked returns how many bytes the other end's kernel has acknowledged on c, a
// TCP connection.
func acked(c net.Conn) (n uint64, known bool) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, false
	}
	var info *unix.TCPInfo
	if raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}) != nil || err != nil {
		return 0, false
	}
	return info.Bytes_acked, true
}
