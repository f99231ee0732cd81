package engine

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// filters are the values by name of the parameter filters.
type filters map[string][]string

// filters reads the parameter and refuses names that are not allowed. The old
// form, a list for each name, is read too.
func (c *call) filters(allowed ...string) (filters, error) {
	raw := c.query.Get("filters")
	if raw == "" {
		return nil, nil
	}
	f := filters{}
	now := map[string]map[string]bool{}
	if err := json.Unmarshal([]byte(raw), &now); err == nil {
		for name, values := range now {
			f[name] = []string{}
			for v := range values {
				f[name] = append(f[name], v)
			}
			slices.Sort(f[name])
		}
	} else {
		old := map[string][]string{}
		if json.Unmarshal([]byte(raw), &old) != nil {
			return nil, serverError("%v", err)
		}
		for name, values := range old {
			f[name] = values
		}
	}
	names := make([]string, 0, len(f))
	for name := range f {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if !slices.Contains(allowed, name) {
			return nil, badRequest("Invalid filter '%s'", name)
		}
	}
	return f, nil
}

// boolean returns the filter's value, or nil when it is not there.
func (f filters) boolean(name string) (*bool, error) {
	values := f[name]
	if len(values) == 0 {
		return nil, nil
	}
	yes := slices.Contains(values, "1") || slices.Contains(values, "true")
	no := slices.Contains(values, "0") || slices.Contains(values, "false")
	if yes == no {
		return nil, badRequest("Invalid filter '%s=%s'", name, fmt.Sprint(values))
	}
	return &yes, nil
}

// labels says whether all label filters hold.
func (f filters) labels(labels map[string]string) bool {
	for _, want := range f["label"] {
		name, value, hasValue := strings.Cut(want, "=")
		got, ok := labels[name]
		if !ok || hasValue && got != value {
			return false
		}
	}
	return true
}

// exact says whether the filter is absent or one of its values is v.
func (f filters) exact(name, v string) bool {
	values := f[name]
	return len(values) == 0 || slices.Contains(values, v)
}

// match says whether the filter is absent, or one of its values is v or a
// regular expression that matches v.
func (f filters) match(name, v string) bool {
	values := f[name]
	if len(values) == 0 || slices.Contains(values, v) {
		return true
	}
	for _, p := range values {
		if re, err := regexp.Compile(p); err == nil && re.MatchString(v) {
			return true
		}
	}
	return false
}
