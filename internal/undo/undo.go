// Package undo works out how to undo interrupted runs. Start with Of, which reads
// their journals; the recipe named Recipe does the work.
package undo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/runtime"
)

// Doings records what a run, and those that it resumed, did or may have done.
type Doings struct {
	Runs       []string    `json:"runs"` // what they created has one of these in the label mepc.run
	Locks      []Lock      `json:"locks"`
	Engines    []string    `json:"engines"`
	Lists      []List      `json:"lists"`
	Containers []Container `json:"containers"`
	// Stays lists what cannot be undone: an image, a request, a command.
	Stays []string `json:"stays"`
}

// Lock is a lock that was taken.
type Lock struct {
	App    string `json:"app"`
	Target string `json:"target"`
	File   bool   `json:"file"`  // it is not a lock in Redis
	Redis  string `json:"redis"` // where it is; empty: the run's own
}

// List is a routing list that was changed.
type List struct {
	Redis string     `json:"redis"` // its server; empty: the run's own
	Host  string     `json:"host"`
	Items []string   `json:"items"` // identifier and backends before all
	Left  [][]string `json:"left"`  // what the changes made, or were to make, of it
}

// Container is a container that was there and was changed.
type Container struct {
	Engine string `json:"engine"` // empty: the run's own
	// Ending says that a stop may still be under way.
	Ending bool `json:"ending"`
	journal.Container
}

// handled lists the calls whose effects are found from the state noted before them.
var handled = []string{
	"docker.create", "docker.start", "docker.stop", "docker.restart", "docker.kill", "docker.pause", "docker.unpause",
	"docker.rename", "docker.update",
}

// Of returns what the runs did, of which each resumed the one before.
func Of(runs ...*journal.Run) *Doings {
	d := &Doings{Locks: []Lock{}, Engines: []string{}, Lists: []List{}, Containers: []Container{}, Stays: []string{}}
	for _, run := range runs {
		d.Runs = append(d.Runs, run.ID)
		for _, r := range run.Records {
			if r.Lock != nil {
				d.lock(run, r.Lock)
			}
		}
		for _, c := range run.Calls() {
			if c.Op != nil && done(c) {
				d.add(run, c)
			}
		}
	}
	return d
}

// done reports whether the call changed something, or may have.
func done(c *journal.Call) bool {
	return c.Result == nil || c.Result.Outcome == effect.OK || c.Result.Outcome == effect.Unknown
}

func (d *Doings) add(run *journal.Run, c *journal.Call) {
	known := slices.Contains(handled, c.Op.Name)
	if strings.HasPrefix(c.Op.Name, "docker.") {
		at := named(c.Op.Endpoint, run.Docker)
		if !slices.Contains(d.Engines, at) {
			d.Engines = append(d.Engines, at)
		}
	}
	for _, w := range c.Was {
		switch {
		case w.Container != nil && c.Op.Name != "docker.remove":
			ending := c.Op.Name == "docker.stop" && (c.Result == nil || c.Result.Outcome == effect.Unknown)
			d.container(Container{named(c.Op.Endpoint, run.Docker), ending, *w.Container})
		case w.List != "":
			d.list(named(c.Op.Endpoint, run.Redis), w)
			known = true
		}
	}
	if !known && !isMark(c.Op) {
		d.Stays = append(d.Stays, strings.TrimSpace(c.Op.Name+" "+c.Op.Target))
	}
}

// named is an endpoint as a recipe names it.
func named(endpoint, own string) string {
	if endpoint == own {
		return ""
	}
	return endpoint
}

// isMark reports whether op only forgot which backends a router found dead.
func isMark(op *effect.Op) bool {
	return op.Name == "redis.del" && strings.HasPrefix(op.Target, "dead:")
}

func (d *Doings) lock(run *journal.Run, taken *journal.Lock) {
	app, target, _ := strings.Cut(taken.App, "@")
	l := Lock{App: app, Target: target, File: taken.In == "", Redis: named(taken.In, run.Redis)}
	if !slices.Contains(d.Locks, l) {
		d.Locks = append(d.Locks, l)
	}
}

func (d *Doings) container(c Container) {
	i := slices.IndexFunc(d.Containers, func(o Container) bool { return o.Engine == c.Engine && o.ID == c.ID })
	if i < 0 {
		d.Containers = append(d.Containers, c)
		return
	}
	d.Containers[i].Ending = c.Ending
}

func (d *Doings) list(redis string, w *journal.Was) {
	i := slices.IndexFunc(d.Lists, func(l List) bool { return l.Redis == redis && l.Host == w.List })
	if i < 0 {
		i = len(d.Lists)
		d.Lists = append(d.Lists, List{Redis: redis, Host: w.List, Items: orEmpty(w.Items)})
	}
	d.Lists[i].Left = append(d.Lists[i].Left, orEmpty(w.Left))
}

// orEmpty is a list that JSON has as one.
func orEmpty(items []string) []string {
	if items == nil {
		return []string{}
	}
	return items
}

// Recipe takes it back: a file of recipes.FS.
const Recipe = "lib/abort.lua"

// Params returns the recipe's parameters. declared and given are those of the run: how
// its app is asked for, and its requests are waited for.
func (d *Doings) Params(app string, declared []runtime.Param, given map[string]any) (map[string]any, error) {
	did, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("write down what the run did: %w", err)
	}
	params := map[string]any{"app": app, "run": d.Runs[len(d.Runs)-1], "did": string(did)}
	for _, p := range declared {
		switch p.Name {
		case "health", "confirm", "admin", "drain", "drain_max", "wait", "dialect":
			if v, ok := given[p.Name]; ok {
				params[p.Name] = v
			} else if p.Default != nil {
				params[p.Name] = p.Default
			}
		}
	}
	return params, nil
}
