// Package lock makes sure that one run at a time deploys an app. Start with
// Keeper, which takes a lock for a run, renews it, and guards the run's effects;
// Redis and Files are where locks are.
//
// A lock has a token, which is higher than that of any earlier lock of the app:
// in Redis it is also the value of FenceKey, which outlives the lock. Whoever
// changes what the lock protects checks it in the same transaction, so that a
// holder that slept too long is refused by Redis itself. Asking again for a lock
// that one has gives the same token: an answer that was lost does no harm.
//
// A holder renews its lock every Renewal, by the run's clock; one that is not
// renewed ends by itself after TTL. A run makes no effect when its lock was not
// renewed for Limit: until then no one else can have it.
package lock

import (
	"context"
	"fmt"
	"time"
)

// The times of a lock.
const (
	TTL     = 15 * time.Second
	Renewal = 5 * time.Second
	Limit   = 10 * time.Second
)

// Holder identifies the holder of a lock.
type Holder struct {
	Owner   string    `json:"owner"` // the run's name, or that of a person
	Who     string    `json:"who"`
	Host    string    `json:"host"`
	Token   int64     `json:"token"`
	Since   time.Time `json:"since"`
	Renewed time.Time `json:"renewed"` // by the clock of where the lock is
	// Life is the time the lock lasts without a renewal; 0: TTL.
	Life time.Duration `json:"life,omitempty"`
	// Message says why a person took it. Such a lock does not end by itself.
	Message string `json:"message,omitempty"`

	late bool // its time is up, by a clock that may have been set
}

// Manual reports whether a person took the lock.
func (h *Holder) Manual() bool { return h.Message != "" }

func (h *Holder) life() time.Duration { return max(TTL, h.Life) }

// yields reports whether the lock of h may be taken by next, who saw over.
func (h *Holder) yields(next, over *Holder) bool {
	return h.Owner == next.Owner || over != nil && h.Owner == over.Owner && h.Token == over.Token && h.Renewed.Equal(over.Renewed)
}

// String names the holder to people.
func (h *Holder) String() string {
	if h.Manual() {
		return fmt.Sprintf("%s on %s, since %s: %s", h.Who, h.Host, h.Since.UTC().Format(time.RFC3339), h.Message)
	}
	return fmt.Sprintf("run %s of %s on %s, since %s", h.Owner, h.Who, h.Host, h.Since.UTC().Format(time.RFC3339))
}

// Place stores locks.
type Place interface {
	// Take takes app's lock for h, with a token above floor, unless somebody else
	// has it. It returns who has it then. The lock of over, if not nil, is taken
	// unless it was renewed since over was seen.
	Take(ctx context.Context, app string, h Holder, over *Holder, floor int64) (*Holder, error)
	// Renew makes h keep the lock. It returns ErrLost when h does not have it.
	// gone says that it may have ended in between.
	Renew(ctx context.Context, app string, h Holder, gone bool) error
	// Release gives owner's lock back.
	Release(ctx context.Context, app, owner string) error
	// Look returns who has the lock, or nil.
	Look(ctx context.Context, app string) (*Holder, error)
	// String names it to people.
	String() string
}
