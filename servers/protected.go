package servers

import (
	"context"
	"io"
	"net"
	"net/http"

	"github.com/mepc/mepc-run/internal/failure"
)

// net/http and go-redis dial and send in goroutines of their own, where a panic ends
// the process. What they call of ours there returns it as an error.

func protectedDial(dial Dialer) Dialer {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = failure.Protect(func() (err error) {
			conn, err = dial(ctx, network, address)
			return err
		})
		return conn, err
	}
}

// protected returns req with a body whose panics are errors.
func protected(req *http.Request) *http.Request {
	if req.Body == nil || req.Body == http.NoBody {
		return req
	}
	own := *req
	own.Body = body{req.Body}
	return &own
}

type body struct{ io.ReadCloser }

func (b body) Read(p []byte) (n int, err error) {
	err = failure.Protect(func() (err error) {
		n, err = b.ReadCloser.Read(p)
		return err
	})
	return n, err
}

func (b body) Close() error { return failure.Protect(b.ReadCloser.Close) }
