package engine

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/mepc/mepc-run/internal/state"
)

// status returns a container's state as docker ps shows it.
type status string

const (
	created    status = "created"
	running    status = "running"
	paused     status = "paused"
	restarting status = "restarting"
	exited     status = "exited"
)

// healthStatus is a container's health; noHealth means that it has no check.
type healthStatus string

const (
	noHealth  healthStatus = ""
	starting  healthStatus = "starting"
	healthy   healthStatus = "healthy"
	unhealthy healthStatus = "unhealthy"
)

// ctr is a container. A copy of the struct is a clone: what its pointers, slices
// and maps lead to is replaced and never modified, except endpoints.
type ctr struct {
	id, name  string
	seq       int
	created   time.Time
	image     *image // as it was when the container was created
	imageRef  string // as it was asked for
	config    *container.Config
	host      *container.HostConfig
	links     []link
	endpoints map[string]*endpoint // by network name
	behaviour *state.Behaviour
	version   string

	status      status
	pid         int
	exitCode    int
	errText     string
	started     time.Time
	finished    time.Time
	restarts    int  // RestartCount
	byHand      bool // stopped by a person: unless-stopped leaves it
	ports       []published
	health      healthStatus
	healthLog   []healthChange // what is still to come
	failing     int
	dies        time.Time // when it exits by itself; zero: it does not
	dieCode     int       // with which exit code
	restartAt   time.Time // when its restart policy starts it again
	nextRestart time.Duration
	logs        []logLine
	files       map[string]*boxFile // what was put into it, by path
	configJSON  []byte              // Config and HostConfig as they are sent, encoded once
	hostJSON    []byte
	configLean  []byte // the same without what says nothing: see Engine.Terse
	hostLean    []byte
}

// never is a time that does not come.
var never time.Time

// link is a legacy link: the container that is linked to, and the name it has
// here. The engine remembers a container that is gone by its last name.
type link struct {
	id    string
	alias string
	gone  string
}

// linked returns the name of the container that l leads to, and the container
// unless it is gone.
func (e *Engine) linked(l link) (string, *ctr) {
	if c := e.containers[l.id]; c != nil {
		return c.name, c
	}
	return l.gone, nil
}

type logLine struct {
	at     time.Time
	stderr bool
	text   string // without the newline
}

// running says whether the container has a process.
func (c *ctr) running() bool { return c.status == running || c.status == paused }

// compareAge orders containers, the oldest first.
func compareAge(a, b *ctr) int {
	return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.seq, b.seq))
}

// ordered returns the containers, oldest first.
func (e *Engine) ordered() []*ctr {
	all := make([]*ctr, 0, len(e.containers))
	for _, c := range e.containers {
		all = append(all, c)
	}
	slices.SortFunc(all, compareAge)
	return all
}

// find resolves an ID, a name, or the beginning of an ID.
func (e *Engine) find(name string) (*ctr, error) {
	if c := e.containers[name]; c != nil {
		return c, nil
	}
	if c := e.names[strings.TrimPrefix(name, "/")]; c != nil {
		return c, nil
	}
	if c, err := e.byAlias(name); c != nil || err != nil {
		return c, err
	}
	if name == "" {
		return nil, badRequest("No container name or ID supplied")
	}
	var found *ctr
	for id, c := range e.containers {
		if strings.HasPrefix(id, name) {
			if found != nil {
				return nil, serverError("Multiple IDs found with provided prefix: %s", name)
			}
			found = c
		}
	}
	if found == nil {
		return nil, noSuchContainer(name)
	}
	return found, nil
}

// byAlias resolves "container/alias", which links make.
func (e *Engine) byAlias(name string) (*ctr, error) {
	parent, alias, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if !ok {
		return nil, nil
	}
	if c := e.names[parent]; c != nil {
		for _, l := range c.links {
			if l.alias == alias && e.containers[l.id] != nil {
				return e.containers[l.id], nil
			}
		}
	}
	return nil, nil
}

// allNames returns the names that docker ps shows: the container's own and those
// that links to it make.
func (e *Engine) allNames(c *ctr) []string {
	names := []string{"/" + c.name}
	for _, other := range e.containers {
		for _, l := range other.links {
			if l.id == c.id {
				names = append(names, "/"+other.name+"/"+l.alias)
			}
		}
	}
	slices.Sort(names)
	return names
}

// forget takes a container away, with all that it held.
func (e *Engine) forget(c *ctr, now time.Time) {
	e.release(c)
	for _, ep := range c.endpoints {
		ep.network = ""
	}
	delete(e.containers, c.id)
	delete(e.names, c.name)
	for _, other := range e.containers {
		for n, l := range other.links {
			if l.id == c.id {
				other.links = slices.Clone(other.links)
				other.links[n].gone = c.name
			}
		}
	}
	for id, x := range e.execs {
		if x.container == c.id {
			delete(e.execs, id)
		}
	}
	e.reschedule()
	e.emitContainer(c, now, "destroy")
}
