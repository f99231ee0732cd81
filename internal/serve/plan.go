package serve

import (
	"bytes"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/internal/reload"
)

// planText returns an encoded plan as people read it.
func planText(data []byte) (string, error) {
	p, err := plan.Decode(data)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = p.Write(&b, plan.Style{})
	return b.String(), err
}

// planParams returns the parameters of a plan that is to be carried out by r.
func planParams(data []byte, r *reload.Recipe) (map[string]any, error) {
	p, err := plan.Decode(data)
	switch {
	case err != nil:
		return nil, failure.Wrap(failure.Invalid, err, "the plan")
	case p.Error != nil:
		return nil, failure.New(failure.Invalid, "the plan comes from a failed rehearsal: %s", p.Error.Message)
	case p.Recipe.Name != r.Name:
		return nil, failure.New(failure.Invalid, "the plan is for the recipe %s, not for %s", p.Recipe.Name, r.Name)
	case len(p.Recipe.SecretParams) > 0:
		return nil, failure.New(failure.Invalid, "the parameter %s is a secret, and plans hold no secrets", p.Recipe.SecretParams[0])
	}
	params := map[string]any{}
	for name, v := range p.Recipe.Params {
		params[name] = v
	}
	return params, nil
}
