package redis

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// arguments of a command, as recipes give them.
type commandArgs struct {
	Words []runtime.Value `lua:"words,rest,secret" doc:"what follows the command's name: strings, numbers, secrets; a list stands for its items"`
}

// flatten turns values into the words that are sent: lists are spliced, numbers
// written as Redis reads them. Lua strings are bytes, and so are words.
func flatten(values []runtime.Value) ([]string, error) {
	var words []string
	for i, v := range values {
		list, ok := v.([]runtime.Value)
		if !ok {
			w, err := plain(v)
			if err != nil {
				return nil, refuse(i+1, err)
			}
			words = append(words, w...)
			continue
		}
		for j, item := range list {
			if _, nested := item.([]runtime.Value); nested {
				return nil, refuse(i+1, fmt.Errorf("item %d is a list: lists are not nested", j+1))
			}
			w, err := plain(item)
			if err != nil {
				return nil, refuse(i+1, fmt.Errorf("item %d %w", j+1, err))
			}
			words = append(words, w...)
		}
	}
	return words, nil
}

func refuse(argument int, err error) error {
	return failure.New(failure.Invalid, "argument %d: %s", argument, err.Error())
}

func plain(v runtime.Value) ([]string, error) {
	switch v := v.(type) {
	case string:
		return []string{v}, nil
	case float64:
		if math.IsNaN(v) {
			return nil, fmt.Errorf("is not a number")
		}
		return []string{number(v)}, nil
	case nil:
		return nil, fmt.Errorf("is nil")
	case bool:
		return nil, fmt.Errorf(`is a boolean, which Redis does not have: write 1 and 0, or "true" and "false"`)
	case map[string]runtime.Value:
		if len(v) == 0 {
			return nil, nil // an empty list
		}
		return nil, fmt.Errorf("is a table whose keys are not 1, 2, 3, ...: write names and values one by one")
	}
	return nil, fmt.Errorf("is a %T", v)
}

// number writes integers without point or exponent, which INCRBY and the like
// do not read, and other numbers with as many digits as it takes.
func number(x float64) string {
	switch {
	case math.IsInf(x, 0):
		return strings.TrimPrefix(strconv.FormatFloat(x, 'g', -1, 64), "+")
	case x == math.Trunc(x) && math.Abs(x) < 1e17:
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

// longest is the length up to which a word is shown. A longer one is not shown
// in part: half a secret is not recognised as one.
const longest, most = 200, 24

// show writes a command for people.
func show(name string, words []string) string {
	var b strings.Builder
	b.WriteString(strings.ToUpper(name))
	for i, w := range words {
		if i == most {
			fmt.Fprintf(&b, " ... (%d more)", len(words)-most)
			break
		}
		b.WriteByte(' ')
		b.WriteString(showWord(w))
	}
	return b.String()
}

func showWord(s string) string {
	switch {
	case len(s) > longest:
		return fmt.Sprintf("(%d bytes)", len(s))
	case s == "", !utf8.ValidString(s), strings.ContainsFunc(s, func(r rune) bool { return r == ' ' || r == '"' || !unicode.IsPrint(r) }):
		return strconv.Quote(s)
	}
	return s
}

// showKeys writes the keys that a call acts on.
func showKeys(keys []string) string {
	const few = 5
	var b strings.Builder
	for i, k := range keys {
		if i == few {
			fmt.Fprintf(&b, " ... (%d more)", len(keys)-few)
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(showWord(k))
	}
	return b.String()
}
