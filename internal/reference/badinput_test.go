package reference_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// objects says how a recipe gets an object of each type whose methods are tried:
// what comes before the call of obj's method, and after it.
var objects = map[string][2]string{
	"docker.engine":  {"local obj = docker.connect() ", ""},
	"redis":          {"local obj = redis.connect() ", ""},
	"redis.watching": {`redis.connect():watch({"n"}, function(obj) `, " end)"},
	"redis.queue":    {"redis.connect():multi(function(obj) ", " end)"},
	"compensation":   {`local obj = defer("x", function() end) `, ""},
}

// badCall is a call that must be refused, with a message that begins so.
type badCall struct{ what, args, begins string }

// TestBadArgumentsAreRefusedBeforeAnythingIsSent makes its cases from the tables:
// each argument of each function missing, of each wrong type, out of its range,
// not among its words; an option that there is not; one argument too many.
func TestBadArgumentsAreRefusedBeforeAnythingIsSent(t *testing.T) {
	state, err := sim.New(sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	world := rehearsal.Clients(servers.Options{}, state, rehearsal.Policy{})
	defer world.Close()
	mods := documented()
	host := runtime.New(runtime.Options{Modules: mods})
	tried := 0
	for _, m := range mods {
		for _, f := range functions(m) {
			before := tried
			typ, method, isMethod := strings.Cut(f.name, ":")
			call, around := f.name, [2]string{}
			if isMethod {
				around, call = objects[typ], "obj:"+method
				if around[0] == "" {
					t.Errorf("objects does not say how to get a %s", typ)
				}
			}
			for _, bad := range badCalls(f.Fields(), m.UTF8) {
				tried++
				source := around[0] + call + "(" + bad.args + ")" + around[1]
				sent := sentTo(f.name)
				recipe, err := host.LoadString("bad.lua", source)
				if err != nil {
					t.Fatalf("%s: %v", source, err)
				}
				_, err = host.Run(t.Context(), recipe, runtime.RunOptions{World: world, Clock: world.Clock(), Sinks: []runtime.Sink{&sent}})
				e := failure.As(err)
				switch {
				case e == nil:
					t.Errorf("%s: %s is taken", source, bad.what)
				case e.Kind != failure.Invalid || !strings.HasPrefix(e.Message, bad.begins):
					t.Errorf("%s: %s is not refused with %s %q...:\n%s: %s", source, bad.what, failure.Invalid, bad.begins, e.Kind, e.Message)
				case e.Hint == "":
					t.Errorf("%s: the error has no hint", source)
				}
				if sent.seen {
					t.Errorf("%s: %s reached the gate", source, bad.what)
				}
			}
			if tried == before && len(f.Fields()) > 0 && !f.Fields()[0].Rest {
				t.Errorf("%s: no bad call was made for it", f.name)
			}
		}
	}
	if tried < 1000 {
		t.Errorf("%d calls were tried: the tables have more", tried)
	}
	t.Logf("%d calls", tried)
}

// watchFor sees whether a function's call reaches the gate.
type watchFor struct {
	name string
	seen bool
}

func sentTo(name string) watchFor { return watchFor{name: strings.ReplaceAll(name, ":", ".")} }

func (w *watchFor) Event(ev effect.Event) {
	w.seen = w.seen || ev.Type == effect.OpStart && ev.Op.Name == w.name
}

// badCalls returns the calls of a function with fields that must be refused.
func badCalls(fields []runtime.Field, utf8 bool) []badCall {
	var calls []badCall
	for i, f := range fields {
		if f.Rest {
			continue
		}
		for _, v := range wrongValues(f.Name, f) {
			calls = append(calls, badCall{v.what + " for " + f.Name, arguments(fields, i, v.args), v.begins})
		}
		if utf8 && f.Type == "string" && f.Name != "content" && f.Name != "data" {
			calls = append(calls, badCall{"bytes that are no text for " + f.Name, arguments(fields, i, `"a\255"`), f.Name + ": it is not UTF-8"})
		}
		if f.Required {
			calls = append(calls, badCall{"no " + f.Name, arguments(fields, i, "nil"), f.Name + ": "})
		}
	}
	named, rest := "", false
	for _, f := range fields {
		rest = rest || f.Rest
		if !f.Pos {
			named = f.Name
		}
	}
	if named != "" {
		calls = append(calls, badCall{"an option misspelled", arguments(fields, -1, "", named+"x = 1"), fmt.Sprintf("unknown option %q; did you mean", named+"x")})
		calls = append(calls, badCall{"a word for the options", positions(fields, -1, "") + `"x"`, "a table of options expected"})
	}
	if !rest {
		calls = append(calls, badCall{"one argument too many", strings.TrimSuffix(arguments(fields, -1, ""), ", ") + comma(fields) + "1", ""})
	}
	return calls
}

func comma(fields []runtime.Field) string {
	if len(fields) == 0 {
		return ""
	}
	return ", "
}

// arguments writes the arguments of a call: the field at place is value, the
// others are as their types want them. more are further options.
func arguments(fields []runtime.Field, place int, value string, more ...string) string {
	options := more
	named := false
	for i, f := range fields {
		if f.Pos {
			continue
		}
		named = true
		switch {
		case i == place && value != "nil":
			options = append(options, f.Name+" = "+value)
		case i != place && f.Required:
			options = append(options, f.Name+" = "+rightValue(f.Type, f))
		}
	}
	pos := positions(fields, place, value)
	if !named {
		return strings.TrimSuffix(pos, ", ")
	}
	return pos + "{" + strings.Join(options, ", ") + "}"
}

// positions writes the positional arguments, a comma after each.
func positions(fields []runtime.Field, place int, value string) string {
	var b strings.Builder
	for i, f := range fields {
		switch {
		case !f.Pos || f.Rest:
		case i == place:
			b.WriteString(value + ", ")
		default:
			b.WriteString(rightValue(f.Type, f) + ", ")
		}
	}
	return b.String()
}

// singular turns "strings" of "list of strings" into "string".
func singular(s string) string {
	switch s {
	case "any values":
		return "any"
	case "list of strings", "table of strings":
		return s
	}
	return strings.TrimSuffix(s, "s")
}

// rightValue is a value that an argument of a type takes.
func rightValue(typ string, f runtime.Field) string {
	if kind, _, ok := strings.Cut(typ, " of "); ok && (kind == "list" || kind == "table") {
		return "{}"
	}
	switch typ {
	case "string", "secret":
		if len(f.Enum) > 0 {
			return fmt.Sprintf("%q", f.Enum[0])
		}
		return `"xy"`
	case "integer", "number", "duration", "size":
		if f.Min != nil {
			return fmt.Sprint(*f.Min)
		}
		return "1"
	case "boolean":
		return "true"
	case "function":
		return "function() end"
	case "table":
		var options []string
		for _, sub := range f.Fields {
			if sub.Required {
				options = append(options, sub.Name+" = "+rightValue(sub.Type, sub))
			}
		}
		return "{" + strings.Join(options, ", ") + "}"
	case "any":
		return "1"
	case "engine":
		return "docker.connect()"
	}
	panic("no value for " + typ)
}

// wrongValues returns what must be refused for an argument: args is the value.
func wrongValues(path string, f runtime.Field) []badCall {
	calls := wrongTypes(path, f.Type, f)
	at := path + ": "
	if f.Min != nil {
		calls = append(calls, badCall{"less than the least", fmt.Sprintf("%v", *f.Min-1), at})
	}
	if f.Max != nil {
		calls = append(calls, badCall{"more than the most", fmt.Sprintf("%.0f", *f.Max+1), at})
	}
	if len(f.Enum) > 0 {
		calls = append(calls, badCall{"none of its words", `"no-such-word"`, at})
	}
	return calls
}

func wrongTypes(path, typ string, f runtime.Field) []badCall {
	at := path + ": "
	wrong := func(values ...string) []badCall {
		var calls []badCall
		for _, v := range values {
			calls = append(calls, badCall{v, v, at})
		}
		return calls
	}
	kind, of, compound := strings.Cut(typ, " of ")
	switch {
	case compound && kind == "list":
		calls := wrong(`"x"`, "true", "{a = 1}", "function() end")
		for _, el := range wrongTypes(path+"[1]", singular(of), f) {
			calls = append(calls, badCall{"a list of " + el.what, "{" + el.args + "}", el.begins})
		}
		return calls
	case compound && kind == "table":
		calls := wrong(`"x"`, "true", "function() end")
		for _, el := range wrongTypes(path+".k", singular(of), f) {
			calls = append(calls, badCall{"a table of " + el.what, "{k = " + el.args + "}", el.begins})
		}
		return calls
	}
	switch typ {
	case "string":
		return wrong("true", "{}", "function() end")
	case "secret":
		return wrong("true", "{}", "function() end", "1")
	case "integer":
		return wrong(`"x"`, "true", "{}", "1.5", "0/0", "function() end")
	case "number":
		return wrong(`"x"`, "true", "{}", "0/0", "function() end")
	case "boolean":
		return wrong(`"true"`, "1", "{}", "function() end")
	case "duration":
		return wrong(`"soon"`, "true", "{}", "-1", `"-1s"`, "0/0", "function() end")
	case "size":
		return wrong(`"lots"`, "true", "{}", "-1", "1.5", "0/0", "function() end")
	case "function":
		return wrong(`"x"`, "1", "true", "{}")
	case "engine":
		return wrong(`"x"`, "1", "true", "{}", "redis.connect()")
	case "any":
		return nil
	case "table":
		calls := wrong(`"x"`, "1", "true", "function() end")
		for _, sub := range f.Fields {
			for _, el := range wrongValues(path+"."+sub.Name, sub) {
				calls = append(calls, badCall{sub.Name + " = " + el.what, tableWith(f.Fields, sub.Name, el.args), el.begins})
			}
			if sub.Required {
				calls = append(calls, badCall{"no " + sub.Name, tableWith(f.Fields, sub.Name, "nil"), path + "." + sub.Name + ": "})
			}
		}
		if len(f.Fields) > 0 {
			name := f.Fields[0].Name + "x"
			calls = append(calls, badCall{"an option misspelled", tableWith(f.Fields, name, "1"), fmt.Sprintf("%s: unknown option %q; did you mean", path, name)})
		}
		return calls
	}
	panic("nothing known of " + typ)
}

// tableWith is a table that is right but for one field.
func tableWith(fields []runtime.Field, name, value string) string {
	options := []string{name + " = " + value}
	for _, f := range fields {
		if f.Required && f.Name != name {
			options = append(options, f.Name+" = "+rightValue(f.Type, f))
		}
	}
	return "{" + strings.Join(options, ", ") + "}"
}
