package plan

import (
	"fmt"
	"maps"
	"slices"
)

// Rewritten returns, in a line each, which files of the recipe are not those that
// p was made with.
func (p *Plan) Rewritten(now *Plan) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(p.Recipe.Files)) {
		if is, ok := now.Recipe.Files[name]; !ok {
			out = append(out, name+" is no longer required")
		} else if is != p.Recipe.Files[name] {
			out = append(out, name+" changed")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now.Recipe.Files)) {
		if _, ok := p.Recipe.Files[name]; !ok {
			out = append(out, name+" is required now")
		}
	}
	return out
}

// Differs returns, in a line each, where the effects of now are not those of p;
// nothing when they are the same.
func (p *Plan) Differs(now *Plan) []string {
	was, is := p.shown(), now.shown()
	if slices.Equal(was, is) {
		if p.Error == nil && now.Error != nil {
			return []string{"the rehearsal fails now: " + now.Error.Message}
		}
		return nil
	}
	for i := range max(len(was), len(is)) {
		switch {
		case i >= len(is):
			return []string{fmt.Sprintf("effect %d was %s, and is gone", i+1, was[i])}
		case i >= len(was):
			return []string{fmt.Sprintf("effect %d is new: %s", i+1, is[i])}
		case was[i] != is[i]:
			return []string{fmt.Sprintf("effect %d was %s", i+1, was[i]), fmt.Sprintf("     now it is %s", is[i])}
		}
	}
	return nil
}

func (p *Plan) shown() []string {
	var out []string
	for _, e := range p.Effects() {
		if !e.Undo {
			out = append(out, shown(e.Op, e.Target, comparable(e.Op, e.Args)))
		}
	}
	return out
}
