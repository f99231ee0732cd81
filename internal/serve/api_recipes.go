package serve

import (
	"encoding/json"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/queue"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/runtime"
)

// recipeAnswer is a recipe as the API has it.
type recipeAnswer struct {
	Name    string        `json:"name"`
	Doc     string        `json:"doc,omitempty"`
	Version string        `json:"version,omitempty"` // "" when none could be loaded yet
	Loaded  *time.Time    `json:"loaded,omitempty"`
	Trouble string        `json:"trouble,omitempty"` // why its newest files are not taken
	Params  []paramAnswer `json:"params"`
	// Triggers are what starts it by itself, in words.
	Triggers []string `json:"triggers"`
}

type paramAnswer struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Doc      string   `json:"doc,omitempty"`
	Required bool     `json:"required,omitempty"`
	Default  any      `json:"default,omitempty"`
	Min      *float64 `json:"min,omitempty"`
	Max      *float64 `json:"max,omitempty"`
	Values   []string `json:"values,omitempty"`
}

func answerOf(r *reload.Recipe) recipeAnswer {
	a := recipeAnswer{Name: r.Name, Trouble: r.Trouble, Params: []paramAnswer{}, Triggers: []string{}}
	v := r.Version
	if v == nil {
		return a
	}
	a.Doc, a.Version, a.Loaded = v.Doc, v.Hash[:12], &v.Loaded
	for _, p := range v.Params {
		a.Params = append(a.Params, paramAnswer(p))
	}
	for _, t := range v.Triggers {
		a.Triggers = append(a.Triggers, t.String())
	}
	return a
}

func (s *Server) listRecipes(*call) (any, error) {
	all := []recipeAnswer{}
	for _, r := range s.opts.Recipes.Recipes() {
		all = append(all, answerOf(r))
	}
	return all, nil
}

func (s *Server) recipe(c *call) (*reload.Recipe, error) {
	name := c.PathValue("name")
	if r := s.opts.Recipes.Recipe(name); r != nil {
		return r, nil
	}
	var names []string
	for _, r := range s.opts.Recipes.Recipes() {
		names = append(names, r.Name)
	}
	return nil, failure.New(failure.NotFound, "no recipe %s%s", name, runtime.DidYouMean(name, names))
}

func (s *Server) getRecipe(c *call) (any, error) {
	r, err := s.recipe(c)
	if err != nil {
		return nil, err
	}
	return answerOf(r), nil
}

// trigger is the body of a request for a run.
type trigger struct {
	Params   map[string]any `json:"params,omitempty"`
	Coalesce bool           `json:"coalesce,omitempty"` // while it waits, a later one of the same recipe and app may take its place
	Delivery string         `json:"delivery,omitempty"` // a second request with the same one is answered with the first
	Who      string         `json:"who,omitempty"`
}

func (s *Server) trigger(c *call) (any, error) {
	var t trigger
	if err := c.body(&t); err != nil {
		return nil, err
	}
	r, err := s.recipe(c)
	if err != nil {
		return nil, err
	}
	return s.enqueue(r, queue.Request{Params: t.Params, Coalesce: t.Coalesce, Delivery: t.Delivery, Source: "api", Who: c.named(t.Who)})
}

// named returns who asks: who they say they are, and where from.
func (c *call) named(who string) string {
	if who == "" {
		return c.who
	}
	return who + " by " + c.who
}

// enqueue asks for a run of r.
func (s *Server) enqueue(r *reload.Recipe, q queue.Request) (queue.Entry, error) {
	if err := take(r, q.Params); err != nil {
		return queue.Entry{}, err
	}
	q.Recipe, q.App = r.Name, runtime.AppOf(r.File, r.Version.Params, q.Params)
	e, _, err := s.opts.Queue.Add(q)
	return e, err
}

type rehearse struct {
	Params map[string]any `json:"params,omitempty"`
	World  string         `json:"world,omitempty"` // live, the default, or empty
}

type rehearsalAnswer struct {
	Plan json.RawMessage `json:"plan"` // as mepc-run -n --out writes it
	Text string          `json:"text"` // the same for people
}

func (s *Server) rehearse(c *call) (any, error) {
	var body rehearse
	if err := c.body(&body); err != nil {
		return nil, err
	}
	r, err := s.recipe(c)
	if err != nil {
		return nil, err
	}
	if err := take(r, body.Params); err != nil {
		return nil, err
	}
	switch body.World {
	case "":
		body.World = "live"
	case "live", "empty":
	default:
		return nil, failure.New(failure.Invalid, "world is live or empty, and not %q", body.World)
	}
	data, err := s.opts.Rehearse.Rehearse(c.Context(), r, body.Params, body.World)
	if err != nil {
		return nil, err
	}
	text, err := planText(data)
	return rehearsalAnswer{data, text}, err
}

type apply struct {
	Plan json.RawMessage `json:"plan"`
	Who  string          `json:"who,omitempty"`
}

func (s *Server) apply(c *call) (any, error) {
	var body apply
	if err := c.body(&body); err != nil {
		return nil, err
	}
	r, err := s.recipe(c)
	if err != nil {
		return nil, err
	}
	params, err := planParams(body.Plan, r)
	if err != nil {
		return nil, err
	}
	return s.enqueue(r, queue.Request{Params: params, Plan: body.Plan, Source: "plan", Who: c.named(body.Who)})
}
