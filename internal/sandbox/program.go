package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"

	"github.com/mepc/mepc-run/internal/sandbox/syntax"
)

// Program is a compiled source. It is immutable and may be loaded into any
// number of VMs at the same time.
type Program struct {
	Name    string // as error positions show it
	Source  []byte
	Hash    string // hex SHA-256 of Source
	Globals []Ref  // every use of a global name, in source order

	// Vendored: it was written for other programs. See the function Vendored.
	Vendored bool

	proto *lua.FunctionProto
}

// Ref is one use of a global name.
type Ref struct {
	Name  string
	Line  int
	Write bool // an assignment, which fails when it runs
}

// Compile compiles src. Its error is always a *SyntaxError. It refuses what is
// longer than lim.SourceBytes, binary chunks, and nesting that would overflow
// the compiler's stack. A first line that starts with # is skipped, as is a
// byte order mark.
func Compile(name string, src []byte, lim Limits) (*Program, error) {
	lim, vendored := lim.WithDefaults(), Vendored(name, src)
	if vendored {
		lim.SourceBytes = max(lim.SourceBytes, VendoredBytes)
	}
	text, err := textOf(name, src, lim)
	if err != nil {
		return nil, err
	}
	proto, refs, err := compile(name, text)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(src)
	return &Program{
		Name: name, Source: bytes.Clone(src), Hash: hex.EncodeToString(sum[:]),
		Globals: refs, Vendored: vendored, proto: proto,
	}, nil
}

// Syntax returns the program's syntax tree as it was written, and its text: the
// source without byte order mark and first # line. Both are the caller's own.
func (p *Program) Syntax() ([]ast.Stmt, []byte, error) {
	text, err := textOf(p.Name, p.Source, Limits{SourceBytes: len(p.Source)})
	if err != nil {
		return nil, nil, err
	}
	chunk, err := parse.Parse(bytes.NewReader(text), p.Name)
	if err != nil {
		return nil, nil, parseError(p.Name, text, err)
	}
	return chunk, text, nil
}

// textOf returns what of src is Lua, or says why src cannot be any.
func textOf(name string, src []byte, lim Limits) ([]byte, error) {
	fail := func(line int, format string, args ...any) error {
		return &SyntaxError{File: name, Line: line, Message: fmt.Sprintf(format, args...)}
	}
	if len(src) > lim.SourceBytes {
		return nil, fail(1, "the source is %d bytes long, the limit is %s", len(src), byteSize(int64(lim.SourceBytes)))
	}
	if bytes.HasPrefix(src, []byte("\x1bLua")) {
		return nil, fail(1, "this is a compiled chunk; only source text is accepted")
	}
	if i := bytes.IndexByte(src, 0); i >= 0 {
		return nil, fail(1+bytes.Count(src[:i], []byte("\n")), "the source has a NUL byte; only text is accepted")
	}
	text := bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))
	if len(text) > 0 && text[0] == '#' {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			end = len(text)
		}
		text = text[end:]
	}
	return text, nil
}

func compile(name string, text []byte) (proto *lua.FunctionProto, refs []Ref, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *SyntaxError: // from the rewriter
			err = r
		default: // the compiler panics on what it does not expect
			err = &SyntaxError{File: name, Line: 1, Message: fmt.Sprintf("the compiler failed: %v", r)}
		}
	}()
	chunk, err := parse.Parse(bytes.NewReader(text), name)
	if err != nil {
		return nil, nil, parseError(name, text, err)
	}
	rw := &rewriter{file: name}
	root := rw.program(chunk)
	proto, err = lua.Compile(chunk, name)
	if err != nil {
		var ce *lua.CompileError
		if errors.As(err, &ce) {
			return nil, nil, &SyntaxError{File: name, Line: max(ce.Line, 1), Message: ce.Message}
		}
		return nil, nil, &SyntaxError{File: name, Line: 1, Message: err.Error()}
	}
	repairLocals(proto, root)
	return proto, rw.refs, nil
}

// parseError says what C Lua says of a source that the parser refuses; of what C Lua
// would take, the parser's own words. At the end of the file those say line -1.
func parseError(name string, text []byte, err error) *SyntaxError {
	if e := syntax.Check(string(text)); e != nil {
		return &SyntaxError{File: name, Line: e.Line, Col: e.Col, Near: short(e.Near), Message: e.Message, Hint: e.Hint}
	}
	pe, ok := err.(*parse.Error)
	if !ok {
		return &SyntaxError{File: name, Line: 1, Message: err.Error()}
	}
	e := &SyntaxError{File: name, Line: pe.Pos.Line, Col: pe.Pos.Column, Near: strings.ToValidUTF8(pe.Token, ""), Message: pe.Message}
	if e.Line < 0 {
		e.Line, e.Col, e.Near = 1+bytes.Count(bytes.TrimRight(text, " \t\r\n"), []byte("\n")), 0, "<eof>"
	}
	e.Near = short(e.Near)
	return e
}

func short(token string) string {
	if token = strings.ToValidUTF8(token, ""); len(token) > 60 {
		return token[:57] + "..."
	}
	return token
}

// cacheMax is the number of programs a Cache holds before it starts afresh.
const cacheMax = 512

// Cache remembers compiled programs by name and content. The zero Cache is
// ready; it is safe for concurrent use.
type Cache struct {
	mu       sync.Mutex
	programs map[cacheKey]*Program
}

type cacheKey struct {
	name string
	sum  [sha256.Size]byte
}

// Compile is the function Compile, once per name and content. Errors are not
// remembered.
func (c *Cache) Compile(name string, src []byte, lim Limits) (*Program, error) {
	if len(src) > max(lim.WithDefaults().SourceBytes, VendoredBytes) {
		return Compile(name, src, lim)
	}
	key := cacheKey{name, sha256.Sum256(src)}
	c.mu.Lock()
	p := c.programs[key]
	c.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := Compile(name, src, lim)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.programs == nil || len(c.programs) >= cacheMax {
		c.programs = map[cacheKey]*Program{}
	}
	c.programs[key] = p
	return p, nil
}
