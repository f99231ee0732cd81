package router

import (
	"context"
	"errors"
	"sync"
)

// errStopping is the cause with which requests are cut when the grace is over.
var errStopping = errors.New("the router is stopping")

// activity counts the requests being served. It exists beside http.Server's own
// count because that one forgets hijacked connections: WebSockets.
type activity struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n falls to 0 and someone waits
}

func newActivity() *activity { return &activity{} }

func (a *activity) enter() {
	a.mu.Lock()
	a.n++
	a.mu.Unlock()
}

func (a *activity) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n--; a.n == 0 && a.idle != nil {
		close(a.idle)
		a.idle = nil
	}
}

// wait returns how many are being served when that is none, or ctx has ended.
func (a *activity) wait(ctx context.Context) int {
	a.mu.Lock()
	if a.n == 0 {
		a.mu.Unlock()
		return 0
	}
	if a.idle == nil {
		a.idle = make(chan struct{})
	}
	idle := a.idle
	a.mu.Unlock()
	select {
	case <-idle:
		return 0
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n
}
