package app

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
)

// passedEnv returns the variables that the operator passes on.
func (f *flags) passedEnv(getenv func(string) string) map[string]string {
	env := map[string]string{}
	for _, name := range f.Env {
		env[name] = getenv(name)
	}
	return env
}

// declaredSecrets returns how each declared secret is read. Nothing is read yet.
func (f *flags) declaredSecrets(getenv func(string) string) (map[string]func() (string, error), error) {
	secrets := map[string]func() (string, error){}
	for _, decl := range f.Secrets {
		name, source, _ := strings.Cut(decl, "=")
		how, where, ok := strings.Cut(source, ":")
		switch {
		case !ok || name == "" || where == "":
			// What was written may be the secret itself: it is not repeated.
			return nil, failure.New(failure.Usage, "--secret %s: it does not say where to read the secret", name).
				WithHint("write --secret NAME=env:VARIABLE, NAME=file:PATH or NAME=cmd:COMMAND")
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
		case how == "cmd" && !slices.Contains(f.Allow, secretCommands):
			return nil, failure.New(failure.Denied, "--secret %s=cmd: is refused: it runs a command on this machine", name).
				WithHint("allow it with --allow %s", secretCommands)
		case how == "cmd":
			secrets[name] = func() (string, error) { return secretFrom(where) }
		default:
			return nil, failure.New(failure.Usage, "--secret %s: the source must start with env:, file: or cmd:", name).
				WithHint("write --secret NAME=env:VARIABLE, NAME=file:PATH or NAME=cmd:COMMAND")
		}
	}
	return secrets, nil
}

// secretCommands is the restriction that --secret NAME=cmd:... needs lifted. A
// plan cannot lift it: the user who applies it decides what runs on this machine.
const secretCommands = "secret-commands"

// secretTime bounds a secret's command.
const secretTime = 30 * time.Second

// secretFrom runs a shell's line, whose output is the secret.
func secretFrom(line string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), secretTime,
		failure.New(failure.Timeout, "its command took longer than %s", secretTime))
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.Stderr, cmd.WaitDelay = &stderr, time.Second
	out, err := cmd.Output()
	switch said, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n"); {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil && said != "":
		return "", failure.New(failure.NotFound, "its command ended with %s: %s", err, said)
	case err != nil:
		return "", failure.New(failure.NotFound, "its command ended with %s", err)
	}
	secret := strings.TrimRight(string(out), "\r\n")
	if secret == "" {
		return "", failure.New(failure.NotFound, "its command printed nothing")
	}
	return secret, nil
}
