package app

import (
	"os"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
)

// passedEnv returns the variables that the operator passes on.
func (f *flags) passedEnv(getenv func(string) string) map[string]string {
	env := map[string]string{}
	for _, name := range f.env {
		env[name] = getenv(name)
	}
	return env
}

// declaredSecrets returns how each declared secret is read. Nothing is read yet.
func (f *flags) declaredSecrets(getenv func(string) string) (map[string]func() (string, error), error) {
	secrets := map[string]func() (string, error){}
	for _, decl := range f.secrets {
		name, source, _ := strings.Cut(decl, "=")
		how, where, ok := strings.Cut(source, ":")
		switch {
		case !ok || name == "" || where == "":
			// What was written may be the secret itself: it is not repeated.
			return nil, failure.New(failure.Usage, "--secret %s: no place to read it from", name).
				WithHint("write --secret NAME=env:VARIABLE or --secret NAME=file:PATH")
		case secrets[name] != nil:
			return nil, failure.New(failure.Usage, "--secret %s is given twice", name)
		case how == "env":
			secrets[name] = func() (string, error) {
				if v := getenv(where); v != "" {
					return v, nil
				}
				return "", failure.New(failure.NotFound, "the environment variable %s is not set", where)
			}
		case how == "file":
			secrets[name] = func() (string, error) {
				b, err := os.ReadFile(where)
				return strings.TrimRight(string(b), "\r\n"), err
			}
		default:
			return nil, failure.New(failure.Usage, "--secret %s: it is read from neither env: nor file:", name).
				WithHint("write --secret NAME=env:VARIABLE or --secret NAME=file:PATH")
		}
	}
	return secrets, nil
}
