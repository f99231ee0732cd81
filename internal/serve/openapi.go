package serve

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// openAPI describes the routes from their table and the types in it.
func (s *Server) openAPI(*call) (any, error) { return describe(), nil }

var describe = sync.OnceValue(func() map[string]any {
	d := &schemas{named: map[string]any{}}
	paths := map[string]any{}
	for _, r := range routes {
		item, _ := paths[r.Path].(map[string]any)
		if item == nil {
			item = map[string]any{}
			paths[r.Path] = item
		}
		item[strings.ToLower(r.Method)] = d.operation(r)
	}
	d.of(reflect.TypeFor[problem]())
	return map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "mepc-run serve", "version": "1",
			"description": "Deployment recipes as a service. Errors have a kind, a message and what to do next.",
		},
		"paths": paths,
		"components": map[string]any{
			"schemas":         d.named,
			"securitySchemes": map[string]any{"token": map[string]any{"type": "http", "scheme": "bearer"}},
		},
		"security": []any{map[string]any{"token": []string{}}},
	}
})

var pathParam = regexp.MustCompile(`\{(\w+)\}`)

func (d *schemas) operation(r route) map[string]any {
	op := map[string]any{"summary": r.Doc, "operationId": strings.Trim(regexp.MustCompile(`\W+`).ReplaceAllString(strings.ToLower(r.Method)+r.Path, "_"), "_")}
	params := []any{}
	for _, m := range pathParam.FindAllStringSubmatch(r.Path, -1) {
		params = append(params, map[string]any{"name": m[1], "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
	}
	for _, q := range r.Query {
		params = append(params, map[string]any{"name": q.Name, "in": "query", "description": q.Doc, "schema": map[string]any{"type": "string"}})
	}
	if len(params) > 0 {
		op["parameters"] = params
	}
	content := func(v any) map[string]any {
		kind := "application/json"
		if v == nil {
			kind = "text/plain"
		} else if strings.HasPrefix(reflect.TypeOf(v).Name(), "stream[") {
			return map[string]any{"text/event-stream": map[string]any{"schema": map[string]any{"type": "string"}}}
		}
		return map[string]any{kind: map[string]any{"schema": d.of(reflect.TypeOf(v))}}
	}
	if r.Body != nil {
		op["requestBody"] = map[string]any{"required": true, "content": content(r.Body)}
	}
	answer := map[string]any{"description": "done"}
	if r.Answer != nil || r.Status != 204 {
		answer["content"] = content(r.Answer)
	}
	op["responses"] = map[string]any{
		strconv.Itoa(r.Status): answer,
		"default":              map[string]any{"description": "an error", "content": map[string]any{"application/json": map[string]any{"schema": ref("problem")}}},
	}
	if r.Open {
		op["security"] = []any{}
	}
	return op
}

func ref(name string) map[string]any { return map[string]any{"$ref": "#/components/schemas/" + name} }

// schemas collects the schemas of Go types, as encoding/json has them.
type schemas struct{ named map[string]any }

func (d *schemas) of(t reflect.Type) any {
	switch {
	case t == nil || t == reflect.TypeFor[json.RawMessage]() || t.Kind() == reflect.Interface:
		return map[string]any{}
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return d.of(t.Elem())
	case t.Implements(reflect.TypeFor[json.Marshaler]()) || t.Kind() == reflect.String:
		return map[string]any{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float64, reflect.Float32:
		return map[string]any{"type": "number"}
	case reflect.Slice, reflect.Array:
		return map[string]any{"type": "array", "items": d.of(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": d.of(t.Elem())}
	case reflect.Struct:
		if t.Name() == "" {
			return d.object(t)
		}
		if d.named[t.Name()] == nil {
			d.named[t.Name()] = map[string]any{} // it may have itself
			d.named[t.Name()] = d.object(t)
		}
		return ref(t.Name())
	default:
		return map[string]any{"type": "integer"}
	}
}

func (d *schemas) object(t reflect.Type) map[string]any {
	props := map[string]any{}
	d.fields(t, props)
	return map[string]any{"type": "object", "properties": props}
}

func (d *schemas) fields(t reflect.Type, props map[string]any) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		ft := f.Type
		for ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		switch {
		case name == "-" || !f.IsExported():
		case f.Anonymous && name == "":
			d.fields(ft, props)
		case name == "":
			props[f.Name] = d.of(f.Type)
		default:
			props[name] = d.of(f.Type)
		}
	}
}
