package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// valueText returns what the recipe returned as stdout shows it: a string as it
// is, nothing for nil, anything else as JSON.
func valueText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return cleanOutput(strings.TrimSuffix(v, "\n")) + "\n"
	}
	return indented(encode(v)) + "\n"
}

func indented(b []byte) string {
	var out bytes.Buffer
	if json.Indent(&out, b, "", "  ") != nil {
		return string(b)
	}
	return out.String()
}

// encode returns v as JSON on one line. It escapes DEL and the C1 control
// characters too, which JSON allows and terminals obey. What JSON cannot hold
// becomes text.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		b.Reset()
		_ = enc.Encode(fmt.Sprint(v))
	}
	line := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if bytes.IndexFunc(line, isC1) < 0 {
		return line
	}
	var out bytes.Buffer
	for _, r := range string(line) {
		if isC1(r) {
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.Bytes()
}

func isC1(r rune) bool { return r >= 0x7f && r <= 0x9f }

// plainValue returns v without the numbers that JSON does not know: Lua's inf
// and nan become those words.
func plainValue(v any) any {
	switch v := v.(type) {
	case float64:
		switch {
		case math.IsNaN(v):
			return "nan"
		case math.IsInf(v, 1):
			return "inf"
		case math.IsInf(v, -1):
			return "-inf"
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plainValue(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = plainValue(v[k])
		}
		return out
	}
	return v
}
