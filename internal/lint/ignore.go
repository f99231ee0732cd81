package lint

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// ignoreComment marks a line that is right the way it is:
//
//	local unused = 1 -- check: ignore W201
var ignoreComment = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`--\s*check:\s*ignore\b([ \t,A-Za-z0-9]*)`)
})

// ignored returns the findings without those that the file's comments exempt.
func (f *file) ignored(text []byte) []Finding {
	exempt := map[int][]string{}
	for i, line := range bytes.Split(text, []byte("\n")) {
		if !bytes.Contains(line, []byte("check:")) {
			continue
		}
		m := ignoreComment().FindSubmatch(line)
		if m == nil {
			continue
		}
		codes := strings.FieldsFunc(string(m[1]), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
		if len(codes) == 0 || !isCode(codes[0]) {
			at := bytes.Index(line, []byte("check:")) + 1
			f.found = append(f.found, Finding{
				Line: i + 1, Col: at, Code: codeIgnore, Message: "check: ignore names no check",
				Hint: "write -- check: ignore W201; `mepc-run check --help` lists the codes",
			})
			continue
		}
		for _, code := range codes {
			if !isCode(code) {
				break // the rest is an explanation
			}
			exempt[i+1] = append(exempt[i+1], code)
		}
	}
	return slices.DeleteFunc(f.found, func(found Finding) bool { return slices.Contains(exempt[found.Line], found.Code) })
}
