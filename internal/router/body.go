package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
)

// smallBody is up to where a body is read whole before the request is sent on.
const smallBody = 64 << 10

// clientBody is a request's body as it comes from the client. It knows whether
// it was read to its end, and does not wait for ever for the next byte.
type clientBody struct {
	io.ReadCloser
	deadline func(time.Time) error // of the client's connection
	patience time.Duration
	ended    atomic.Bool
	broken   atomic.Bool
	stopped  atomic.Bool // broken, since nothing came any more
	tooLarge atomic.Bool // broken, by the host's limit
}

func (b *clientBody) Read(p []byte) (int, error) {
	_ = b.deadline(clock.Wall{}.Now().Add(b.patience))
	n, err := b.ReadCloser.Read(p)
	switch err {
	case nil:
	case io.EOF:
		b.ended.Store(true)
		_ = b.deadline(time.Time{})
	default:
		var timeout net.Error
		var large *http.MaxBytesError
		b.tooLarge.Store(errors.As(err, &large))
		b.stopped.Store(errors.As(err, &timeout) && timeout.Timeout())
		b.broken.Store(true)
	}
	return n, err
}

// watchBody notes from now on how far r's body was read.
func (x *exchange) watchBody(w http.ResponseWriter, r *http.Request, cfg *Config) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	x.upload = &clientBody{ReadCloser: r.Body, deadline: http.NewResponseController(w).SetReadDeadline, patience: cfg.BodyTimeout}
	r.Body = x.upload
}

// takeBody makes r's body fit to be sent on while the response may already be
// coming. A small one is read first: then it can be sent on a kept connection, and
// again when that turns out to be closed. For others, without full duplex,
// net/http swallows up to 256 KiB of what is still coming when the response
// begins: a backend that answers while it reads would silently lose them. HTTP/2
// does that right anyway.
func (x *exchange) takeBody(w http.ResponseWriter, r *http.Request) error {
	if x.upload == nil {
		return nil
	}
	if most := x.want.maxBody; most > 0 {
		x.upload.ReadCloser = http.MaxBytesReader(w, x.upload.ReadCloser, most)
	}
	if r.ContentLength < 0 || r.ContentLength > smallBody {
		_ = http.NewResponseController(w).EnableFullDuplex()
		return nil
	}
	var err error
	x.body, err = io.ReadAll(r.Body)
	return err
}

// mustClose reports whether the client's connection may carry no further request
// after r: something that is not a request may come next on it. Full duplex
// switches off what net/http does about that by itself.
//
// A body that is not read to its end when the answer begins is such a thing, be it
// broken, or late. So is a chunked one in any case: with a Content-Length beside
// it, which net/http hides, another server may have seen another end (RFC 9112,
// section 6.1).
func (x *exchange) mustClose(r *http.Request) bool {
	if r.ProtoMajor != 1 || x.upload == nil {
		return false
	}
	return !x.upload.ended.Load() || len(r.TransferEncoding) > 0
}

// refuseBody answers for a request whose body did not come to its end.
func (x *exchange) refuseBody(w http.ResponseWriter) {
	if x.upload.tooLarge.Load() {
		x.refuseLarge(w)
		return
	}
	if x.upload.stopped.Load() {
		refuse(w, http.StatusRequestTimeout, "the request's body stopped coming")
		return
	}
	refuse(w, http.StatusBadRequest, "the request's body is broken")
}

func (x *exchange) refuseLarge(w http.ResponseWriter) {
	refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("%q takes bodies of up to %d bytes", x.host, x.want.maxBody))
}

// download is a backend's body, and notices when the backend breaks off.
type download struct {
	io.ReadCloser
	ctx context.Context
	x   *exchange
}

func (d *download) Read(b []byte) (int, error) {
	n, err := d.ReadCloser.Read(b)
	if err != nil && err != io.EOF && d.ctx.Err() == nil {
		d.x.fail = failCut
	}
	return n, err
}
