package docker

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/servers"
)

// session is a connection on which the engine asks this process during a build:
// https://github.com/moby/buildkit/blob/master/session. It is gRPC of two unary
// methods, which net/http speaks; BuildKit's own package brings all of gRPC along.
type session struct {
	id     string
	server *http.Server
	served <-chan error
}

// The methods that are answered. The engine looks with the second whether this process
// is still there.
const (
	getSecret = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
	isHealthy = "/grpc.health.v1.Health/Check"
)

// The codes of gRPC that are given.
const (
	grpcNotFound      = 5
	grpcInvalid       = 3
	grpcUnimplemented = 12
)

// maxAsked bounds a message of the engine, which is a name.
const maxAsked = 1 << 20

// openSession lets the engine read secrets by their names.
func (e *Engine) openSession(ctx context.Context, secrets map[string]string) (*session, error) {
	s := &session{id: uuid.NewString()}
	x := &servers.Exchange{Endpoint: e.Endpoint()}
	conn, err := e.world.DockerUpgrade(x.Watch(ctx), e.ep, "/session", "h2c", http.Header{
		"X-Docker-Expose-Session-Uuid":        {s.id},
		"X-Docker-Expose-Session-Name":        {"mepc-run"},
		"X-Docker-Expose-Session-Grpc-Method": {getSecret},
	})
	if err != nil {
		return nil, x.Failure(ctx, err)
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	s.server = &http.Server{Handler: answers(secrets), Protocols: protocols, ReadHeaderTimeout: reach}
	s.served = failure.Go(func() error { return s.server.Serve(newOneConn(conn)) })
	return s, nil
}

// Close ends it.
func (s *session) Close() {
	_ = s.server.Close()
	<-s.served
}

// answers is the handler of a session.
func answers(secrets map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		asked, err := readFrame(r.Body)
		switch {
		case err != nil:
			refuseGRPC(w, grpcInvalid, err.Error())
		case r.URL.Path == isHealthy:
			writeFrame(w, protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1)) // SERVING
		case r.URL.Path == getSecret:
			name := ""
			for field, value := range protoFields(asked) {
				if field == 1 {
					name = string(value)
				}
			}
			value, ok := secrets[name]
			if !ok {
				refuseGRPC(w, grpcNotFound, "secrets= has no "+name)
				return
			}
			writeFrame(w, protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), value))
		default:
			refuseGRPC(w, grpcUnimplemented, "this client answers no "+r.URL.Path)
		}
	}
}

// readFrame reads a message of gRPC, which says first whether it is compressed and how
// long it is.
func readFrame(r io.Reader) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if head[0] != 0 || size > maxAsked {
		return nil, errors.New("the message is compressed, or too large")
	}
	b := make([]byte, size)
	_, err := io.ReadFull(r, b)
	return b, err
}

// writeFrame answers with a message.
func writeFrame(w http.ResponseWriter, b []byte) {
	head := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b)))
	_, _ = w.Write(append(head, b...)) // the engine may be gone
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
}

func refuseGRPC(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Grpc-Status", strconv.Itoa(code))
	w.Header().Set("Grpc-Message", text)
}

// oneConn is a listener that has one connection, and ends with it.
type oneConn struct {
	conn net.Conn
	next chan net.Conn
	over chan struct{}
}

func newOneConn(rw io.ReadWriteCloser) *oneConn {
	l := &oneConn{next: make(chan net.Conn, 1), over: make(chan struct{})}
	l.conn = &streamConn{ReadWriteCloser: rw}
	l.next <- l.conn
	return l
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.next:
		return c, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error {
	select {
	case <-l.over:
		return nil
	default:
		close(l.over)
	}
	return l.conn.Close()
}

func (l *oneConn) Addr() net.Addr { return streamAddr{} }

// streamConn is a stream as a connection. It has no deadlines: the build has one, and
// closes it.
type streamConn struct{ io.ReadWriteCloser }

func (*streamConn) LocalAddr() net.Addr              { return streamAddr{} }
func (*streamConn) RemoteAddr() net.Addr             { return streamAddr{} }
func (*streamConn) SetDeadline(time.Time) error      { return nil }
func (*streamConn) SetReadDeadline(time.Time) error  { return nil }
func (*streamConn) SetWriteDeadline(time.Time) error { return nil }

type streamAddr struct{}

func (streamAddr) Network() string { return "docker" }
func (streamAddr) String() string  { return "session" }
