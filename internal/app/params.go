package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
)

// maxVarFile is the largest parameter file accepted, in bytes.
const maxVarFile = 1 << 20

// params gathers a run's parameters: those of the files, in order, then those
// of the command line, which win.
func params(files, args []string) (map[string]any, error) {
	all := map[string]any{}
	for _, file := range files {
		if err := readParams(file, all); err != nil {
			return nil, failure.Wrap(failure.Usage, err, "--var-file %s", file).
				WithHint("it must hold a JSON object, or lines of name=value and comments after #")
		}
	}
	given := map[string]bool{}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		switch {
		case !ok && strings.ContainsAny(arg, ":/"):
			return nil, failure.New(failure.Usage, "%q is not a parameter: write name=value", arg).WithHint("did you mean image=%s?", arg)
		case !ok || name == "":
			return nil, failure.New(failure.Usage, "%q is not a parameter: write name=value", arg)
		case !given[name]:
			all[name] = value
		default: // a list or a map takes several
			all[name] = again(all[name], value)
		}
		given[name] = true
	}
	return all, nil
}

// again adds a further value of a parameter to those before.
func again(before any, value string) any {
	if list, ok := before.([]any); ok {
		return append(list, value)
	}
	return []any{before, value}
}

func readParams(name string, into map[string]any) error {
	f, err := os.Open(name)
	if err != nil {
		return failure.Innermost(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxVarFile+1))
	switch {
	case err != nil:
		return failure.Innermost(err)
	case len(data) > maxVarFile:
		return errors.New("it is larger than 1 MiB")
	case bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")):
		return readJSON(data, into)
	}
	given := map[string]bool{}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		switch {
		case !ok || name == "":
			return fmt.Errorf("line %d: not name=value", n)
		case !given[name]:
			into[name] = strings.TrimSpace(value)
		default:
			into[name] = again(into[name], strings.TrimSpace(value))
		}
		given[name] = true
	}
	return nil
}

// readJSON decodes an object, and says in which line it is wrong.
func readJSON(data []byte, into map[string]any) error {
	err := json.Unmarshal(data, &into)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		line := 1 + bytes.Count(data[:syntax.Offset], []byte("\n"))
		return fmt.Errorf("line %d: %w", line, err)
	}
	return err
}
