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
	Name     string        `json:"name"`
	Doc      string        `json:"doc,omitempty"`
	Version  string        `json:"version,omitempty"` // "" when none could be loaded yet
	Loaded   *time.Time    `json:"loaded,omitempty"`
	Trouble  string        `json:"trouble,omitempty"`  // why its newest files are not taken
	Warnings []string      `json:"warnings,omitempty"` // what of it cannot work, such as a webhook whose secret is too short
	Params   []paramAnswer `json:"params"`
	// Triggers describe in words what starts it by itself.
	Triggers []string `json:"triggers"`
}

type paramAnswer struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Doc      string   `json:"doc,omitempty"`
	Required bool     `json:"required,omitempty"`
	Usual    bool     `json:"usual,omitempty"` // one of the recipe's last runs was given it
	Default  any      `json:"default,omitempty"`
	Min      *float64 `json:"min,omitempty"`
	Max      *float64 `json:"max,omitempty"`
	Values   []string `json:"values,omitempty"`
}

func (s *Server) answerOf(r *reload.Recipe) recipeAnswer {
	a := recipeAnswer{Name: r.Name, Trouble: r.Trouble, Warnings: s.warnings(r), Params: []paramAnswer{}, Triggers: []string{}}
	v := r.Version
	if v == nil {
		return a
	}
	a.Doc, a.Version, a.Loaded = v.Doc, v.Hash[:12], &v.Loaded
	for _, p := range v.Params {
		a.Params = append(a.Params, paramAnswer{p.Name, p.Type, p.Doc, p.Required, false, p.Default, p.Min, p.Max, p.Values})
	}
	for _, t := range v.Triggers {
		a.Triggers = append(a.Triggers, t.String())
	}
	return a
}

func (s *Server) listRecipes(*call) (any, error) {
	all := []recipeAnswer{}
	for _, r := range s.opts.Recipes.Recipes() {
		all = append(all, s.answerOf(r))
	}
	return all, nil
}

func (s *Server) recipe(c *call) (*reload.Recipe, error) {
	name := c.PathValue("name")
	if r := s.opts.Recipes.Recipe(name); r != nil {
		return r, nil
	}
	if !s.loaded() {
		return nil, errLoading
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
	a := s.answerOf(r)
	usual, err := s.usual(r.Name)
	if err != nil {
		return nil, err
	}
	for i := range a.Params {
		a.Params[i].Usual = usual[a.Params[i].Name]
	}
	return a, nil
}

// lastOnes is the number of a recipe's runs that decide which parameters are usual.
const lastOnes = 10

// usual returns the parameters that a recipe's last runs were given.
func (s *Server) usual(recipe string) (map[string]bool, error) {
	ids, err := s.runs.list()
	if err != nil {
		return nil, err
	}
	given, seen := map[string]bool{}, 0
	for _, id := range ids {
		sum, err := s.runs.summary(id)
		if err != nil || sum == nil || sum.Recipe != recipe {
			continue
		}
		for name := range sum.Params {
			given[name] = true
		}
		if seen++; seen == lastOnes {
			break
		}
	}
	return given, nil
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
		return nil, failure.New(failure.Invalid, "world must be live or empty, not %q", body.World)
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
