package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ErrMissing is wrapped by the error of StartEngine and StartRedis when this
// machine lacks a program or the right to run it.
var ErrMissing = errors.New("this machine is not ready for a lab")

// tools lists where programs are looked for, in the form of PATH.
type tools string

// systemTools is PATH with binDir, if any, in front, and with the directories
// that a plain user's PATH, or root's after `su`, lacks at the end.
func systemTools(binDir string) tools {
	dirs := append(filepath.SplitList(os.Getenv("PATH")), "/usr/local/sbin", "/usr/sbin", "/sbin")
	if binDir != "" {
		dirs = slices.Insert(dirs, 0, binDir)
	}
	return tools(strings.Join(dirs, string(filepath.ListSeparator)))
}

// path finds a program.
func (t tools) path(name string) (string, error) {
	for _, dir := range filepath.SplitList(string(t)) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}

// env is this program's environment with the tools for PATH: dockerd and
// containerd find runc, shims and proxies there.
func (t tools) env() []string {
	return append(os.Environ(), "PATH="+string(t))
}

// need says which programs, by the Debian package that has each, are missing
// for what, all of them at once.
func (t tools) need(what string, packages map[string]string) error {
	var missing []string
	for tool, pkg := range packages {
		if _, err := t.path(tool); err != nil {
			missing = append(missing, fmt.Sprintf("%s (Debian package %s)", tool, pkg))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return fmt.Errorf("%w: %s needs %s: run scripts/install-deps.sh as root", ErrMissing, what, strings.Join(missing, ", "))
}

// output runs a program and returns what it wrote; its error says the command
// and what the command said.
func (t tools) output(ctx context.Context, name string, args ...string) (string, error) {
	path, err := t.path(name)
	if err != nil {
		return "", err
	}
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// run is output for a program whose output does not matter.
func (t tools) run(ctx context.Context, name string, args ...string) error {
	_, err := t.output(ctx, name, args...)
	return err
}
