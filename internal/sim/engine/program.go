package engine

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// How the engine words that a process could not be made.
const (
	ociCreate = "failed to create shim task: OCI runtime create failed: runc create failed: "
	ociExec   = "OCI runtime exec failed: exec failed: "
)

// missingProgram is the engine's error for a program that is not in the image.
func missingProgram(name, prefix string) string {
	why := "stat " + name + ": no such file or directory"
	if !strings.Contains(name, "/") {
		why = "executable file not found in $PATH"
	}
	return fmt.Sprintf("%sunable to start container process: exec: %q: %s: unknown", prefix, name, why)
}

// program checks that what the container is to run is there; if not it returns
// the exit code that the container then has.
func (c *ctr) program() (int, error) {
	argv := c.argv()
	if c.lacks(argv[0]) {
		return 127, badRequest("%s", missingProgram(argv[0], ociCreate))
	}
	return 0, nil
}

func (c *ctr) argv() []string {
	return append(append([]string{}, c.config.Entrypoint...), c.config.Cmd...)
}

// lacks says whether the image is known not to have a program.
func (c *ctr) lacks(name string) bool {
	if slices.Contains(c.behaviour.Missing, name) {
		return true
	}
	if _, known := c.image.hasFile("/"); !known {
		return false
	}
	if strings.Contains(name, "/") {
		has, _ := c.image.hasFile(path.Join("/", name))
		return !has
	}
	for _, e := range c.config.Env {
		dirs, ok := strings.CutPrefix(e, "PATH=")
		for _, dir := range strings.Split(dirs, ":") {
			if has, _ := c.image.hasFile(path.Join(dir, name)); ok && has {
				return false
			}
		}
	}
	return true
}
