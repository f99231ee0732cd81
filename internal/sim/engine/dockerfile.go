package engine

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode"

	"github.com/mepc/mepc-run/internal/state"
)

// instruction is one instruction of a Dockerfile.
type instruction struct {
	line  int
	cmd   string // upper case
	flags map[string]string
	rest  string   // as written, after the flags
	list  []string // the JSON form, when rest is one
}

// text is the instruction as the engine prints it.
func (i instruction) text() string {
	s := i.cmd
	for _, name := range []string{"from", "chown", "chmod", "platform", "interval", "timeout", "start-period", "retries"} {
		if v, ok := i.flags[name]; ok {
			s += " --" + name + "=" + v
		}
	}
	if i.rest != "" {
		s += " " + i.rest
	}
	return s
}

// instructions are those that Dockerfiles have.
func isInstruction(cmd string) bool {
	switch cmd {
	case "FROM", "LABEL", "EXPOSE", "CMD", "ENTRYPOINT", "ENV", "HEALTHCHECK", "STOPSIGNAL", "USER", "WORKDIR",
		"VOLUME", "ARG", "RUN", "COPY", "ADD", "MAINTAINER", "SHELL", "ONBUILD":
		return true
	}
	return false
}

// parseDockerfile splits a Dockerfile into instructions. Its errors are worded as
// the engine's. It knows continued lines and comments; of parser directives none.
func parseDockerfile(src string) ([]instruction, error) {
	var out []instruction
	lines := strings.Split(strings.ReplaceAll(src, "\r\n", "\n"), "\n")
	for n := 0; n < len(lines); n++ {
		line := strings.TrimSpace(lines[n])
		if line == "" || line[0] == '#' {
			continue
		}
		first := n + 1
		for strings.HasSuffix(line, "\\") {
			line = strings.TrimSuffix(line, "\\")
			for n++; n < len(lines); n++ {
				if next := strings.TrimSpace(lines[n]); next != "" && next[0] != '#' {
					break
				}
			}
			if n >= len(lines) {
				break
			}
			line += strings.TrimRightFunc(strings.TrimLeftFunc(lines[n], unicode.IsSpace), unicode.IsSpace)
		}
		word, rest, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
		i := instruction{line: first, cmd: strings.ToUpper(word), rest: strings.TrimSpace(rest)}
		if !isInstruction(i.cmd) {
			return nil, fmt.Errorf("dockerfile parse error line %d: unknown instruction: %s", first, i.cmd)
		}
		if strings.Contains(i.rest, "<<") && (i.cmd == "RUN" || i.cmd == "COPY") {
			return nil, fmt.Errorf("%sa here-document in line %d of the Dockerfile", state.NotModelled, first)
		}
		i.takeFlags()
		if i.rest == "" {
			return nil, fmt.Errorf("dockerfile parse error line %d: %s requires at least one argument", first, i.cmd)
		}
		if i.rest[0] == '[' {
			_ = json.Unmarshal([]byte(i.rest), &i.list) // anything but a list is the shell form
		}
		out = append(out, i)
	}
	return out, nil
}

// takeFlags takes "--name=value" off the front.
func (i *instruction) takeFlags() {
	for strings.HasPrefix(i.rest, "--") {
		word, rest, _ := strings.Cut(i.rest, " ")
		name, value, _ := strings.Cut(word[2:], "=")
		if i.flags == nil {
			i.flags = map[string]string{}
		}
		i.flags[name], i.rest = value, strings.TrimSpace(rest)
	}
}

var variable = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\\\$|\$\{([A-Za-z_]\w*)(?::([-+])([^}]*))?\}|\$([A-Za-z_]\w*)`)
})

// expand puts in the values of $NAME, ${NAME}, ${NAME:-word} and ${NAME:+word}.
func expand(s string, env map[string]string) string {
	return variable().ReplaceAllStringFunc(s, func(m string) string {
		g := variable().FindStringSubmatch(m)
		if m == `\$` {
			return "$"
		}
		value := env[g[1]+g[4]]
		switch {
		case g[2] == "-" && value == "":
			return g[3]
		case g[2] == "+" && value == "":
			return ""
		case g[2] == "+":
			return g[3]
		}
		return value
	})
}

// words splits at spaces outside quotes, and takes the quotes away.
func words(s string) []string {
	var out []string
	var b strings.Builder
	var quote rune
	in, escaped := false, false
	for _, r := range s {
		switch {
		case escaped:
			b.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, in = true, true
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				b.WriteRune(r)
			}
		case r == '"' || r == '\'':
			quote, in = r, true
		case unicode.IsSpace(r):
			if in {
				out = append(out, b.String())
				b.Reset()
				in = false
			}
		default:
			b.WriteRune(r)
			in = true
		}
	}
	if in {
		out = append(out, b.String())
	}
	return out
}

// pairs reads NAME=value ..., or the old form NAME value.
func pairs(s string) ([][2]string, error) {
	all := words(s)
	if len(all) > 0 && !strings.Contains(all[0], "=") {
		name, value, ok := strings.Cut(strings.TrimSpace(s), " ")
		if !ok {
			return nil, fmt.Errorf("must have two arguments")
		}
		return [][2]string{{name, strings.TrimSpace(value)}}, nil
	}
	var out [][2]string
	for _, w := range all {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			return nil, serverError("Syntax error - can't find = in %q. Must be of the form: name=value", w)
		}
		out = append(out, [2]string{name, value})
	}
	return out, nil
}
