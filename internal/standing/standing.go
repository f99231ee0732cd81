// Package standing says how apps stand: which release serves which host, in what shares,
// what is kept for a rollback, what is marked bad, and who has the lock. It asks an engine
// and a Redis, by reads alone, and goes by what recipes leave there: labels on containers,
// routing lists, and the app's history. Start with Look.
package standing

import (
	"slices"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/lock"
)

// App describes the state of one app.
type App struct {
	Name     string       `json:"app"`
	Hosts    []*Host      `json:"hosts"`
	Releases []*Release   `json:"releases"` // that serve first, then the newest
	Returns  string       `json:"returns_to,omitempty"`
	Lock     *lock.Holder `json:"lock"`
}

// Host is a host of an app, with its routing list.
type Host struct {
	Host     string     `json:"host"`
	Backends []*Backend `json:"backends"`
	history  []string   // the releases that served it, the last one first
}

// Backend is an entry of a routing list.
type Backend struct {
	URL       string  `json:"url"`
	Weight    int     `json:"weight"` // how often it is listed
	Share     float64 `json:"share"`  // of the host's traffic, 0 to 1
	Dead      bool    `json:"dead"`   // a router has found it so
	Container string  `json:"container,omitempty"`
	Release   string  `json:"release,omitempty"`
	Version   string  `json:"version,omitempty"`
}

// Release is an image with its configuration.
type Release struct {
	ID         string       `json:"release"`
	Version    string       `json:"version"`
	Image      string       `json:"image"`
	Serves     bool         `json:"serves"`
	Bad        string       `json:"bad,omitempty"` // why no rollback leads to it
	Created    time.Time    `json:"created"`
	Containers []*Container `json:"containers"`
}

// Container is a replica of a release.
type Container struct {
	Name    string    `json:"name"`
	Replica string    `json:"replica"`
	State   string    `json:"state"`  // in the engine's words, such as running
	Health  string    `json:"health"` // healthy, unhealthy, starting; empty: its image has no check
	Status  string    `json:"status"` // such as Up 5 minutes (healthy)
	Created time.Time `json:"created"`
}

// Running returns how many of a release's containers run, and are not unhealthy.
func (r *Release) Running() int {
	n := 0
	for _, c := range r.Containers {
		if c.State == "running" && c.Health != "unhealthy" {
			n++
		}
	}
	return n
}

// Serving returns the releases that serve.
func (a *App) Serving() []*Release {
	return slices.DeleteFunc(slices.Clone(a.Releases), func(r *Release) bool { return !r.Serves })
}

// settle says which releases serve, and where a rollback of the app's first host leads.
func (a *App) settle() {
	for _, h := range a.Hosts {
		total := 0
		for _, b := range h.Backends {
			total += b.Weight
		}
		for _, b := range h.Backends {
			b.Share = float64(b.Weight) / float64(total)
			if r := a.release(b.Release); r != nil {
				r.Serves = true
				b.Version = r.Version
			}
		}
	}
	slices.SortStableFunc(a.Releases, func(x, y *Release) int {
		if x.Serves != y.Serves {
			return map[bool]int{true: -1, false: 1}[x.Serves]
		}
		return y.Created.Compare(x.Created)
	})
	slices.SortFunc(a.Hosts, func(x, y *Host) int { return strings.Compare(x.Host, y.Host) })
	for _, h := range a.Hosts {
		for _, entry := range h.history {
			if r := a.release(entry); r != nil && !r.Serves && r.Bad == "" {
				a.Returns = r.ID
				return
			}
		}
	}
}

// release returns the release of an id, which may be several engines', joined by +.
func (a *App) release(id string) *Release {
	if id == "" {
		return nil
	}
	for _, r := range a.Releases {
		if slices.Contains(strings.Split(id, "+"), r.ID) {
			return r
		}
	}
	return nil
}
