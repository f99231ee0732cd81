package approve

import (
	"context"
	"testing"
	"time"

	"github.com/mepc/mepc-run/servers"
)

// TestAClockThatIsSetMovesNoDeadline: the deadline has the monotonic reading, by which
// it is reached when the time has passed, whatever the clock shows by then. Without it
// a clock that is put back keeps a question open for as long, and one that is put
// forward answers it.
func TestAClockThatIsSetMovesNoDeadline(t *testing.T) {
	t.Parallel()
	w := servers.Live(servers.Options{})
	defer w.Close()
	a := &asking{world: w, ask: func(_ context.Context, q Question) (Answer, error) {
		if q.Deadline == q.Deadline.Round(0) { //nolint:revive // Round takes the monotonic reading off
			t.Errorf("%s is what the clock shows", q.Deadline)
		}
		return Answer{Approved: true, Who: "alice"}, nil
	}}
	if who, err := a.approve(t.Context(), &args{Question: "go on?", Timeout: time.Hour}); who != "alice" || err != nil {
		t.Errorf("%q, %v", who, err)
	}
}
