package spec

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/runtime"
)

// stateOf makes the state of a world of the table that world{} was given. The keys
// are those of a world file; those of its one engine may stand beside them.
func stateOf(table any) (*state.State, error) {
	given, ok := table.(map[string]any)
	if !ok {
		return nil, failure.New(failure.Invalid, "a table with names expected, such as images={...}, got a list")
	}
	ofState, ofEngine := keys(reflect.TypeFor[state.State]()), keys(reflect.TypeFor[state.Engine]())
	st, engine := map[string]any{"mepc_world": state.Format}, map[string]any{}
	for key, v := range given {
		switch {
		case ofState[key] != nil:
			st[key] = complete(ofState[key], v)
		case ofEngine[key] != nil:
			engine[key] = complete(ofEngine[key], v)
		default:
			var known []string
			for _, m := range []map[string]reflect.Type{ofState, ofEngine} {
				for k := range m {
					known = append(known, k)
				}
			}
			slices.Sort(known)
			return nil, failure.New(failure.Invalid, "unknown key %q%s", key, runtime.DidYouMean(key, known)).
				WithHint("it takes the keys of a world file: %s", strings.Join(known, ", "))
		}
	}
	if len(engine) > 0 {
		if st["engines"] != nil {
			return nil, failure.New(failure.Invalid, "engines={...} and the keys of one engine cannot be used together")
		}
		st["engines"] = []any{engine}
	}
	data, err := json.Marshal(st)
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err, "world")
	}
	s, err := state.Decode(data)
	if err != nil {
		return nil, failure.New(failure.Invalid, "%s", linePrefix().ReplaceAllString(err.Error(), ""))
	}
	return s, nil
}

// linePrefix matches the beginning of a world file's error; a table has no lines.
var linePrefix = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^line \d+: `) })

// keys returns the keys that a struct has in a world file.
func keys(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		out[name] = f.Type
	}
	return out
}

// complete makes what Lua cannot tell apart, and short forms, what a world file has
// in their place: an empty table is an empty list where a list is wanted; an image
// or a router can be its name alone; a Redis key its string or its list.
func complete(t reflect.Type, v any) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	text, isText := v.(string)
	switch {
	case isText && t == reflect.TypeFor[state.Image]():
		return map[string]any{"ref": text}
	case isText && t == reflect.TypeFor[state.Router]():
		return map[string]any{"address": text}
	case isText && t == reflect.TypeFor[state.RedisKey]():
		return map[string]any{"string": text}
	}
	switch x := v.(type) {
	case float64:
		if t == reflect.TypeFor[state.RedisKey]() {
			return map[string]any{"string": fmt.Sprint(x)}
		}
		if t.Kind() == reflect.String {
			return fmt.Sprint(x)
		}
	case []any:
		if t == reflect.TypeFor[state.RedisKey]() {
			return map[string]any{"list": complete(reflect.TypeFor[[]string](), x)}
		}
		if t.Kind() == reflect.Slice {
			for i := range x {
				x[i] = complete(t.Elem(), x[i])
			}
		}
	case map[string]any:
		return completeTable(t, x)
	}
	return v
}

func completeTable(t reflect.Type, table map[string]any) any {
	switch t.Kind() {
	case reflect.Slice:
		if len(table) == 0 {
			return []any{}
		}
	case reflect.Map:
		for k, v := range table {
			table[k] = complete(t.Elem(), v)
		}
	case reflect.Struct:
		known := keys(t)
		for k, v := range table {
			if known[k] != nil {
				table[k] = complete(known[k], v)
			}
		}
	}
	return table
}
