package std

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func (s *Std) json() runtime.Module {
	return runtime.Module{
		Name: "json", Doc: "JSON text from and to Lua values.", Self: s,
		Funcs: []runtime.Func{
			{
				Name: "encode",
				Doc: "Writes a value as JSON. A table whose keys are 1..n is an array, any other an object with sorted keys; " +
					"an empty one is {}.",
				Returns: "the text",
				Raises:  []runtime.Kind{failure.Invalid},
				Example: `assert(json.encode({name="app", ports={80, 443}}) == '{"name":"app","ports":[80,443]}')`,
				Call:    runtime.Inline((*Std).encode),
			},
			{
				Name:    "decode",
				Doc:     "Reads JSON. null becomes nil: such a field is absent, such an item of a list leaves a gap.",
				Returns: "the value",
				Raises:  []runtime.Kind{failure.Invalid},
				Example: `assert(json.decode('{"tags":["1.0","1.1"]}').tags[2] == "1.1")`,
				Call:    runtime.Inline((*Std).decode),
			},
		},
	}
}

type encodeArgs struct {
	Value  runtime.Value `lua:"value,pos" doc:"what to write"`
	Indent int           `lua:"indent" default:"0" min:"0" max:"8" doc:"spaces a level; 0: all in one line"`
}

func (s *Std) encode(_ *runtime.Call, a *encodeArgs) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "        "[:a.Indent])
	if err := enc.Encode(a.Value); err != nil {
		return "", failure.New(failure.Invalid, "%s", err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

type decodeArgs struct {
	Text string `lua:"text,pos,required" doc:"the JSON"`
}

func (s *Std) decode(_ *runtime.Call, a *decodeArgs) (runtime.Value, error) {
	dec := json.NewDecoder(bytes.NewReader([]byte(a.Text)))
	var v runtime.Value
	if err := dec.Decode(&v); err != nil {
		return nil, failure.New(failure.Invalid, "not JSON: %s", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, failure.New(failure.Invalid, "not JSON: more follows after the value, at byte %d", dec.InputOffset())
	}
	return v, nil
}
