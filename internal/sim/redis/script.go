package redis

import (
	"cmp"
	"crypto/sha1" //nolint:gosec // as Redis names scripts
	_ "embed"
	"encoding/hex"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"

	"github.com/yuin/gopher-lua/parse"
)

// miniredis runs a script in a Lua without limits, inside of the process that rehearses:
// one that does not end cannot be stopped there, one that grows takes the machine's
// memory, and a result that is in itself overflows Go's stack, which no recover survives.
// So scripts are rewritten before miniredis sees them: each turn of a loop, each call and
// each concatenation takes a turn, of which there is a limited number; every few turns the heap
// is looked at; texts are bounded, and what is returned is copied.
const (
	scriptTurns = 200_000
	scriptHeap  = 96 << 20

	// lookCommand is the command by which a script lets us look.
	lookCommand = "MEPC-LOOK"
)

// prelude becomes the first line of a script, or its beginning. ID stands for what no
// script can know of itself.
//
//go:embed prelude.lua
var prelude string

// sha1Hex names a script as Redis does.
func sha1Hex(s string) string {
	sum := sha1.Sum([]byte(s)) //nolint:gosec // as Redis names scripts
	return hex.EncodeToString(sum[:])
}

// bounded returns the script as it is run; one that does not compile as it is.
func bounded(script string) string {
	script = strings.NewReplacer("\r\n", "\n", "\n\r", "\n", "\r", "\n").Replace(script)
	if _, err := parse.Parse(strings.NewReader(script), "script"); err != nil {
		return script
	}
	id := "_" + sha1Hex(script)
	turn := " turn" + id + "(); "
	var out strings.Builder
	out.WriteString(strings.NewReplacer("ID", id, "TURNS", strconv.Itoa(scriptTurns), "LOOK", lookCommand, "\n", " ").Replace(prelude))
	at := 0
	insert := func(offset int, text string) {
		out.WriteString(script[at:offset])
		out.WriteString(text)
		at = offset
	}
	lines := []int{0} // where they begin
	for i, c := range []byte(script) {
		if c == '\n' {
			lines = append(lines, i+1)
		}
	}
	scanner := parse.NewScanner(strings.NewReader(script), "script")
	params := false
	for {
		tok, err := scanner.Scan(&parse.Lexer{})
		if err != nil || tok.Type == parse.EOF {
			break
		}
		begin := lines[tok.Pos.Line-1] + tok.Pos.Column - 1
		switch {
		case tok.Type == parse.TDo, tok.Type == parse.TRepeat:
			insert(begin+len(tok.Str), turn)
		case tok.Type == parse.T2Comma:
			insert(begin+2, " join"+id+" .. ")
		case tok.Type == parse.TGoto:
			insert(begin, turn)
		case tok.Type == parse.TFunction:
			params = true
		case tok.Type == ')' && params:
			params = false
			insert(begin+1, turn)
		}
	}
	out.WriteString(script[at:])
	out.WriteString("\nend)(...), 1)")
	return out.String()
}

// scripts knows those that are run by their names, which are of what was sent.
type scripts struct {
	mu     sync.Mutex
	called map[string]string // the name of what is run, by that of what was sent
	heap   uint64            // when the script under way began
}

// rewrite puts what is run in place of the scripts in a command.
func (s *scripts) rewrite(cmd string, args []string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := func(i int) {
		args[i] = strings.ToLower(args[i])
		args[i] = cmp.Or(s.called[args[i]], args[i])
	}
	text := func(i int) {
		run := bounded(args[i])
		if s.called == nil {
			s.called = map[string]string{}
		}
		s.called[sha1Hex(args[i])] = sha1Hex(run)
		args[i] = run
	}
	switch sub := ""; {
	case len(args) == 0:
	case cmd == "EVAL", cmd == "EVAL_RO":
		text(0)
	case cmd == "EVALSHA", cmd == "EVALSHA_RO":
		name(0)
	case cmd == "SCRIPT":
		sub = strings.ToUpper(args[0])
		for i := 1; i < len(args); i++ {
			switch sub {
			case "LOAD":
				text(i)
			case "EXISTS":
				name(i)
			}
		}
	}
	if strings.HasPrefix(cmd, "EVAL") || cmd == "EXEC" {
		s.heap = heap()
	}
	return args
}

// look reports whether the script under way holds too much.
func (s *scripts) look() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return heap() < s.heap+scriptHeap
}

// heap returns how much memory of the process was in use when it was last collected:
// garbage is as much again.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
