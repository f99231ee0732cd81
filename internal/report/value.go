package report

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/mepc/mepc-run/internal/report/lines"
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
	return indented(lines.Encode(v)) + "\n"
}

func indented(b []byte) string {
	var out bytes.Buffer
	if json.Indent(&out, b, "", "  ") != nil {
		return string(b)
	}
	return out.String()
}
