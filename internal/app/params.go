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

// maxVarFile is how large a file of parameters may be, in bytes.
const maxVarFile = 1 << 20

// params gathers a run's parameters: those of the files, in order, then those
// of the command line, which win.
func params(files, args []string) (map[string]any, error) {
	all := map[string]any{}
	for _, file := range files {
		if err := readParams(file, all); err != nil {
			return nil, failure.Wrap(failure.Usage, err, "--var-file %s", file).
				WithHint("it holds a JSON object, or lines of name=value and comments after #")
		}
	}
	given := map[string]bool{}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		switch {
		case !ok || name == "":
			return nil, failure.New(failure.Usage, "%q is not a parameter: write name=value", arg)
		case given[name]:
			return nil, failure.New(failure.Usage, "the parameter %s is given twice", name)
		}
		given[name] = true
		all[name] = value
	}
	return all, nil
}

func readParams(name string, into map[string]any) error {
	f, err := os.Open(name)
	if err != nil {
		return innermost(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxVarFile+1))
	switch {
	case err != nil:
		return innermost(err)
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
		case given[name]:
			return fmt.Errorf("line %d: %s is given twice", n, name)
		}
		given[name] = true
		into[name] = strings.TrimSpace(value)
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

// innermost returns what the system said, without the path again.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
