package prove_test

import (
	"testing"

	"github.com/mepc/mepc-run/internal/prove"
)

// What Explore takes as known comes out like that when it is tried.
func TestPlansThatCommuteComeOutTheSame(t *testing.T) {
	t.Parallel()
	limit := 60
	if testing.Short() {
		limit = 0
	}
	known, differ, err := prove.Doubt(t.Context(), bluegreen(t), limit)
	if err != nil {
		t.Fatal(err)
	}
	if known < 30 {
		t.Errorf("%d plans are known from others, want 30 or more", known)
	}
	for _, d := range differ {
		t.Errorf("not the same: %s", d)
	}
	t.Logf("%d plans known from others", known)
}
