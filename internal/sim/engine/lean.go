package engine

import "bytes"

// lean returns the JSON object without the members that say nothing: null, 0,
// false and "". Decoded into a struct it is the same, in half the time:
// a container's HostConfig has seventy members, of which few say anything. object
// is what json.Marshal has made.
func lean(object []byte) []byte {
	out := make([]byte, 0, len(object)/2)
	out = append(out, '{')
	depth, start, text := 0, 1, false
	for i := 1; i < len(object); i++ {
		switch c := object[i]; {
		case text && c == '\\':
			i++ // whatever follows
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			depth++
		case depth == 0 && (c == ',' || c == '}'):
			if m := object[start:i]; len(m) > 0 && !saysNothing(m) {
				if len(out) > 1 {
					out = append(out, ',')
				}
				out = append(out, m...)
			}
			start = i + 1
		case c == '}' || c == ']':
			depth--
		}
	}
	return append(out, '}')
}

// saysNothing reports whether the member "name":value has a value that is none.
func saysNothing(member []byte) bool {
	_, value, _ := bytes.Cut(member, []byte(`":`))
	switch string(value) {
	case "null", "0", "false", `""`:
		return true
	}
	return false
}
