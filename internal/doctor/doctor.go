// Package doctor looks at the servers that recipes use and says what of them will
// make trouble, and how to fix it. It only reads. Look gathers facts, Examine
// judges them by a table of checks; a server that cannot be reached is a fact, too.
package doctor

import (
	"fmt"
	"strings"
	"time"
)

// Level says how bad a finding is.
type Level int

// The levels, the worst last.
const (
	OK Level = iota
	Skipped
	Warning
	Problem
)

func (l Level) String() string { return [...]string{"ok", "skipped", "warning", "problem"}[l] }

// Finding is the result of one check.
type Finding struct {
	Server  string // such as "engine unix:///var/run/docker.sock"
	Check   string
	Level   Level
	Message string
	Fix     string // what to do, when something is to be done
}

// Facts holds what is known about the servers.
type Facts struct {
	Engine  Engine
	Redis   Redis
	Routers []Router
}

// Engine holds what is known about an engine.
type Engine struct {
	Name          string
	Err           error // why nothing is known
	Version       string
	API, MinAPI   string
	LiveRestore   bool
	Skew          time.Duration // its clock ahead of ours
	SkewKnown     bool
	Disk          *Disk // nil: cannot be seen from here
	NotRestarting []string
}

// Disk is the room where an engine keeps its data.
type Disk struct {
	Path        string
	Free, Total uint64
}

// Redis holds what is known about a Redis.
type Redis struct {
	Name     string
	Err      error
	Info     map[string]string // INFO, by name
	Config   map[string]string // what of CONFIG GET it answers
	Traefik  bool              // it has Traefik's keys
	Skew     time.Duration
	hasClock bool
}

// Router holds what is known about a router.
type Router struct {
	URL    string
	Err    error
	Status int
}

// check judges one thing. It returns nil where there is nothing to judge.
type check[F any] struct {
	name  string
	judge func(F) *verdict
}

type verdict struct {
	level        Level
	message, fix string
}

func good(format string, args ...any) *verdict {
	return &verdict{level: OK, message: fmt.Sprintf(format, args...)}
}

func bad(level Level, fix, format string, args ...any) *verdict {
	return &verdict{level, fmt.Sprintf(format, args...), fix}
}

// Examine judges facts by every check.
func Examine(f *Facts) []Finding {
	all := apply("engine "+f.Engine.Name, &f.Engine, engineChecks)
	all = append(all, apply("redis "+f.Redis.Name, &f.Redis, redisChecks)...)
	if len(f.Routers) == 0 {
		all = append(all, Finding{"router", "named", Skipped, "none given: recipes do not confirm a switch", "--router http://127.0.0.1:8080, or MEPC_ROUTER"})
	}
	for i := range f.Routers {
		all = append(all, apply("router "+f.Routers[i].URL, &f.Routers[i], routerChecks)...)
	}
	return all
}

// apply stops at the first check when the server cannot be reached.
func apply[F any](server string, facts F, checks []check[F]) []Finding {
	var all []Finding
	for i, c := range checks {
		v := c.judge(facts)
		if v == nil {
			continue
		}
		all = append(all, Finding{server, c.name, v.level, v.message, v.fix})
		if i == 0 && v.level == Problem {
			break
		}
	}
	return all
}

// Worst returns the worst level.
func Worst(all []Finding) Level {
	worst := OK
	for _, f := range all {
		worst = max(worst, f.Level)
	}
	return worst
}

// clockVerdict judges a difference of clocks.
func clockVerdict(skew time.Duration) *verdict {
	const fix = "synchronize its clock by NTP: timedatectl set-ntp true"
	off := skew.Abs().Round(time.Millisecond)
	direction := "ahead of"
	if skew < 0 {
		direction = "behind"
	}
	switch {
	case off >= time.Minute:
		return bad(Problem, fix, "%s %s this machine's clock: locks and times in logs go wrong", off, direction)
	case off >= 2*time.Second:
		return bad(Warning, fix, "%s %s this machine's clock", off, direction)
	}
	return good("within 2s of this machine's")
}

func few(names []string) string {
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
