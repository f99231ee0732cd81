package lint

import (
	"bytes"

	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"
)

// places knows where words stand. The syntax tree has lines only; columns come
// from the tokens.
type places struct {
	tokens []ast.Token
	first  map[int]int // line: its first token, as an index
	given  map[int]bool
}

type place struct{ line, col int }

func placesOf(text []byte) *places {
	p := &places{first: map[int]int{}, given: map[int]bool{}}
	scanner, lexer := parse.NewScanner(bytes.NewReader(text), ""), &parse.Lexer{}
	for {
		tok, err := scanner.Scan(lexer)
		if err != nil || tok.Type == parse.EOF {
			return p
		}
		if _, known := p.first[tok.Pos.Line]; !known {
			p.first[tok.Pos.Line] = len(p.tokens)
		}
		p.tokens = append(p.tokens, tok)
		lexer.PrevTokenType = tok.Type
	}
}

// find returns the place of word on line, or on one of the lines after it, where
// a statement goes on. A place is given once, so that each of two words that are
// the same gets its own. ".name" and ":name" are names behind these.
func (p *places) find(line int, word string) place {
	at, ok := p.first[line]
	if !ok {
		return place{line, 1}
	}
	fallback := place{line, p.tokens[at].Pos.Column}
	if word == "" {
		return fallback
	}
	member := word[0] == '.' || word[0] == ':'
	name := word
	if member {
		name = word[1:]
	}
	for i := at; i < len(p.tokens) && p.tokens[i].Pos.Line <= line+maxLines; i++ {
		t := p.tokens[i]
		behind := i > 0 && (p.tokens[i-1].Type == '.' || p.tokens[i-1].Type == ':')
		if t.Str == name && behind == member && !p.given[i] {
			p.given[i] = true
			return place{t.Pos.Line, t.Pos.Column}
		}
	}
	return fallback
}

// maxLines limits how many lines of one statement are searched.
const maxLines = 40
