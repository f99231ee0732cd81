package reference

import (
	"regexp"
	"strings"
	"sync"
)

// The docs in the tables are plain text, for terminals and errors. On a page
// what is code in them is set as code:
var codeInProse = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(^|[\s(])(` + strings.Join([]string{
		`--allow [a-z]+[a-z-]*\b`,                                   // --allow privileged
		`--[a-z][a-z-]*(?: [A-Z]{2,}(?:=[^\s,.;)]+)?)?`,             // --env NAME
		`(?:GET|HEAD|POST|PUT|DELETE) /[^\s,;]+`,                    // GET /images/get
		`[a-z]+(?:[.:][a-z_]+)?(?:\([^)]*\)|\{\.\.\.\})`,            // r:multi(fn), docker.f{...}, params{...}
		`(?:docker|redis|http|json|log|parallel|r|tx)[.:][a-z_]+\b`, // docker.start
		`[A-Z_]+=[a-z_]+\b`,                                         // MODE=prod
		`[A-Z]+_[A-Z_]+\b`,                                          // DOCKER_HOST
		`[a-z]+_[a-z_]+\b(?: ?= ?(?:"[^"]*"|true\b|false\b))?`,      // on_error="collect"
		`[a-z]+ ?= ?(?:"[^"]*"|true\b|false\b)`,                     // force = true
	}, "|") + `)`)
})

// commands matches where a behaviour comes from, when that is nothing but names
// of commands: "MULTI, EXEC".
var commands = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Z]+(, [A-Z]+)*$`) })

// prose makes Markdown out of a doc string.
func prose(s string) string {
	var b strings.Builder
	rest := 0
	for _, m := range codeInProse().FindAllStringSubmatchIndex(s, -1) {
		b.WriteString(escape(s[rest:m[4]]))
		b.WriteString(code(s[m[4]:m[5]]))
		rest = m[5]
	}
	b.WriteString(escape(s[rest:]))
	return b.String()
}

// origin writes where a behaviour comes from, in one line.
func origin(s string) string {
	if !commands().MatchString(s) {
		return prose(s)
	}
	return code(strings.ReplaceAll(s, ", ", "`, `"))
}

// escape keeps text from being read as emphasis or HTML. An underscore within a
// word is safe, and there are no others.
func escape(s string) string { return strings.NewReplacer("*", `\*`, "<", `\<`).Replace(s) }

func code(s string) string { return "`" + s + "`" }

// firstSentence returns doc up to its first full stop.
func firstSentence(doc string) string {
	first, _, more := strings.Cut(doc, ". ")
	if more {
		first += "."
	}
	return first
}

// Anchor is the link target that forges give a heading: lower case, without
// punctuation.
func Anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r == ' ':
			return '-'
		}
		return -1
	}, heading)
}
