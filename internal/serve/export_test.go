package serve

import (
	"context"
	"net"
)

// Routes returns the routes as "GET /path".
func Routes() []string {
	var all []string
	for _, r := range routes {
		all = append(all, r.Method+" "+r.Path)
	}
	return all
}

// ServeFor is Serve with other numbers of connections.
func (s *Server) ServeFor(ctx context.Context, l net.Listener, all, reserved, share int) error {
	return s.serve(ctx, l, newPool(places{all, reserved, share}))
}
