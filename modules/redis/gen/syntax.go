package main

import (
	"slices"
	"strings"
)

// syntaxOf writes a command as the Redis manual does:
// "LINSERT key BEFORE|AFTER pivot element".
func syntaxOf(name string, doc map[any]any) string {
	s := strings.ToUpper(strings.ReplaceAll(name, "|", " "))
	if args := arguments(doc["arguments"], " "); args != "" {
		s += " " + args
	}
	return s
}

func arguments(v any, sep string) string {
	list, _ := v.([]any)
	var parts []string
	for _, a := range list {
		parts = append(parts, argument(a.(map[any]any)))
	}
	return strings.Join(parts, sep)
}

func argument(a map[any]any) string {
	flags := words(a["flags"])
	s := text(a["name"])
	switch text(a["type"]) {
	case "pure-token":
		s = ""
	case "block":
		s = arguments(a["arguments"], " ")
	case "oneof":
		s = arguments(a["arguments"], "|")
	}
	token := text(a["token"])
	if token == `""` { // as Redis writes a token that is an empty string
		token = ""
	}
	if slices.Contains(flags, "multiple") {
		again := s
		if slices.Contains(flags, "multiple_token") && token != "" {
			again = token + " " + s
		}
		s += " [" + again + " ...]"
	}
	s = strings.TrimSpace(token + " " + s)
	if slices.Contains(flags, "optional") {
		s = "[" + s + "]"
	}
	return s
}
