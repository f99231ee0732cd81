package runtime

import (
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
)

// NoFunction returns the error for a function that m does not have. When objects
// that m gives have a method of that name, it says how to get at that.
func (m *Module) NoFunction(name string) *Error {
	err := failure.New(failure.Invalid, "%s has no function %q", m.Name, name)
	if instead := m.Instead[name]; instead != "" {
		return err.WithHint("%s", instead)
	}
	for i := range m.Types {
		t := &m.Types[i]
		if !t.HasMethod(name) {
			continue
		}
		for j := range m.Funcs {
			if f := &m.Funcs[j]; f.Name != "" && f.Gives(t) {
				x := t.Name[strings.LastIndexByte(t.Name, '.')+1:][:1]
				return err.WithHint("%s is a method of what %s.%s returns: local %s = %s.%s(); %s:%s(...)",
					name, m.Name, f.Name, x, m.Name, f.Name, x, name)
			}
		}
	}
	names := make([]string, len(m.Funcs))
	for i, f := range m.Funcs {
		names[i] = f.Name
	}
	err.Message += DidYouMean(name, names)
	return err
}

// HasMethod reports whether objects of type t have a method of that name.
func (t *Type) HasMethod(name string) bool {
	for _, f := range t.Funcs {
		if f.Name == name {
			return true
		}
	}
	if t.Method == nil {
		return false
	}
	_, err := t.Method(name)
	return err == nil
}
