package report

import (
	"encoding/json"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/report/lines"
)

func TestEveryJSONFieldIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, schema, _ := strings.Cut(string(doc), "# JSON")
	for _, object := range []any{lines.Effect{}, lines.Result{}} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(object)) {
			if name := f.Tag.Get("json"); !strings.Contains(schema, "//\t"+name+" ") {
				t.Errorf("%T: %s is not in the package's documentation", object, name)
			}
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[lines.Error]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !strings.Contains(schema, name) {
			t.Errorf("the error's %s is not in the package's documentation", name)
		}
	}
}

func TestTheStatusFollowsFromErrorAndEffects(t *testing.T) {
	for _, test := range []struct {
		err     error
		effects int
		want    string
	}{
		{nil, 0, "unchanged"},
		{nil, 2, "ok"},
		{failure.New(failure.Cancelled, "interrupted"), 2, "cancelled"},
		{failure.New(failure.Timeout, "too late"), 0, "failed"},
	} {
		if got := Status(test.err, test.effects); got != test.want {
			t.Errorf("Status(%v, %d) = %q, want %q", test.err, test.effects, got, test.want)
		}
	}
}

func TestValuesThatJSONCannotHoldDoNotCostTheResult(t *testing.T) {
	for _, test := range []struct {
		value any
		want  string
	}{
		{nil, `null`},
		{"a\x1b[2J\u009b", `"a\u001b[2J\u009b"`},
		{8080.0, `8080`},
		{[]any{math.NaN(), map[string]any{"up": math.Inf(1), "down": math.Inf(-1)}}, `["nan",{"down":"-inf","up":"inf"}]`},
		{make(chan int), `"0x`},
	} {
		s := play(t, Options{Mode: JSON}, func(s *stage) { s.finish(nil, test.value) })
		got := s.out.String()
		if !json.Valid([]byte(got)) || !strings.Contains(got, `"value":`+test.want) || strings.ContainsAny(got, "\x1b\u009b") {
			t.Errorf("%v: got %s, want value %s", test.value, got, test.want)
		}
	}
}

func TestValuesOnStdout(t *testing.T) {
	for _, test := range []struct {
		value any
		want  string
	}{
		{nil, ""},
		{"two\nlines\twith\x1b]0;x\a\n", "two\nlines\twith\\x1b]0;x\\x07\n"},
		{true, "true\n"},
		{0.25, "0.25\n"},
		{[]any{"a", math.Inf(1)}, "[\n  \"a\",\n  \"inf\"\n]\n"},
	} {
		s := play(t, Options{}, func(s *stage) { s.finish(nil, test.value) })
		if got := s.out.String(); got != test.want {
			t.Errorf("%v: got %q, want %q", test.value, got, test.want)
		}
	}
}
