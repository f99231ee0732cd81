package docker

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/docker/docker/api/types/image"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Two stores know an image by different IDs. It is the same one only if all of its
// configuration is: of builds that are reproducible, a changed HEALTHCHECK or EXPOSE is
// the only difference.
func TestAnImageIsAllOfItsConfiguration(t *testing.T) {
	there := func(id string) image.InspectResponse {
		i := image.InspectResponse{ID: id, Os: "linux", Architecture: "amd64", Created: "2026-11-30T00:00:00Z"}
		i.RootFS.Layers = []string{"sha256:1"}
		reflect.ValueOf(&i.Config).Elem().Set(reflect.New(reflect.TypeOf(i.Config).Elem()))
		return i
	}
	classic, packed := there("sha256:a"), there("sha256:b")
	packed.Descriptor = &ocispec.Descriptor{}
	if !sameImage(classic, packed) {
		t.Fatal("the same image is another one")
	}
	if other := there("sha256:c"); sameImage(classic, other) {
		t.Error("a classic store's ID is the configuration's digest: another ID is another image")
	}
	fields := 0
	each(reflect.ValueOf(packed.Config).Elem(), "", func(name string, field reflect.Value) {
		fields++
		was := reflect.New(field.Type()).Elem()
		was.Set(field)
		defer field.Set(was)
		if field.Kind() == reflect.Slice || field.Kind() == reflect.Map {
			field.Set(empty(field.Type()))
			if !sameImage(classic, packed) {
				t.Errorf("%s: empty is not absent", name)
			}
		}
		field.Set(filled(field.Type()))
		if sameImage(classic, packed) {
			t.Errorf("%s is not compared", name)
		}
	})
	check := reflect.ValueOf(packed.Config).Elem().FieldByName("Healthcheck")
	check.Set(filled(check.Type()))
	reflect.ValueOf(classic.Config).Elem().FieldByName("Healthcheck").Set(filled(check.Type()))
	packed.Config.Healthcheck.StartInterval = 1
	if !sameImage(classic, packed) || !sameImage(packed, classic) {
		t.Error("an old engine, which tells no start interval, has another image")
	}
	if fields < 13 {
		t.Errorf("only %d fields were tried", fields)
	}
}

// each calls do for the fields of a struct and of those that it embeds.
func each(v reflect.Value, path string, do func(string, reflect.Value)) {
	for i := range v.NumField() {
		field, typ := v.Field(i), v.Type().Field(i)
		if typ.Anonymous {
			each(field, path, do)
			continue
		}
		do(path+typ.Name, field)
	}
}

func empty(t reflect.Type) reflect.Value {
	if t.Kind() == reflect.Map {
		return reflect.MakeMap(t)
	}
	return reflect.MakeSlice(t, 0, 0)
}

// filled returns a value that is not the zero value.
func filled(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Slice:
		return reflect.Append(v, filled(t.Elem()))
	case reflect.Map:
		v = reflect.MakeMap(t)
		v.SetMapIndex(filled(t.Key()), filled(t.Elem()))
	case reflect.Pointer:
		v = reflect.New(t.Elem())
		v.Elem().Field(0).Set(filled(t.Elem().Field(0).Type))
	case reflect.Struct:
	default:
		panic(fmt.Sprintf("a field of type %s", t))
	}
	return v
}
