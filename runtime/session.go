package runtime

import (
	"context"
	"io/fs"

	"github.com/mepc/mepc-run/internal/sandbox"
)

// Session is a file whose main chunk has run and whose Lua state is kept, for a
// host that calls functions which it left behind: a runner of tests.
type Session struct{ r *Run }

// Load compiles src, which is shown as name in positions. Files that it requires
// come from tree, then from the library.
func (h *Host) Load(name string, src []byte, tree fs.FS) (*Recipe, error) {
	return h.load(name, src, tree)
}

// Open runs recipe's main chunk and keeps its state. The error is an *Error; the
// session must be closed when there is none.
func (h *Host) Open(ctx context.Context, recipe *Recipe, opts RunOptions) (*Session, error) {
	r := h.newRun(recipe, opts)
	r.early = false // it declares no parameters
	err := r.attend(ctx, r.patience(), func(ctx context.Context) error {
		_, err := r.vm.Run(ctx, recipe.program)
		return err
	})
	if err != nil {
		err = r.finish(err)
		r.vm.Close()
		return nil, err
	}
	return &Session{r}, nil
}

// Call calls fn, which was handed to a Go function of the session's modules. It
// has an allowance of steps of its own, and what stopped an earlier call does not
// stop it; nor does Go code that hung in one. The error is an *Error.
func (s *Session) Call(ctx context.Context, steps int64, fn *Function, args ...any) ([]any, error) {
	returned := make(chan []any, 1) // not a variable: it may be abandoned
	err := s.r.attend(ctx, s.r.patience(), func(ctx context.Context) error {
		return s.r.vm.Grace(ctx, steps, func(e sandbox.Entry) error {
			c := &Call{run: s.r, entry: e, fn: &boundFunc{}}
			out, err := fn.CallContext(c, c.Context(), args...)
			returned <- out
			return err
		})
	})
	select {
	case out := <-returned:
		return out, s.r.finish(err)
	default:
		return nil, s.r.finish(err)
	}
}

// Close ends the session's Lua state.
func (s *Session) Close() { s.r.vm.Close() }
