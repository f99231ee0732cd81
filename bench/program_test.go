package bench

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// module is the import path of this repository.
const module = "github.com/mepc/mepc-run/"

// compile builds the program of a package, as make build does, and returns its
// path.
func compile(b *testing.B, pkg string) string {
	b.Helper()
	exe := filepath.Join(b.TempDir(), filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", exe, module+pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("compile %s: %v\n%s", pkg, err, out)
	}
	return exe
}

// installed returns the path of a program that the machine has to have.
func installed(b *testing.B, name string) string {
	b.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		b.Fatalf("%s is not installed; bench/run.sh installs what is missing", name)
	}
	return path
}

// Usage is the resources a program used; for a shell script, with all of its programs.
type Usage struct {
	Wall time.Duration
	CPU  time.Duration // user and system; not the servers' that it talked to
	Peak int64         // bytes of memory, of the largest of its programs
}

// runner runs programs by way of bench/measure.
type runner struct {
	measure string
	dir     string
	env     []string
}

func newRunner(b *testing.B, env ...string) *runner {
	return &runner{measure: compile(b, "bench/measure"), dir: b.TempDir(), env: append(os.Environ(), env...)}
}

// run runs a program to its end and returns what it used and printed. It ends
// the benchmark when the program fails.
func (r *runner) run(b *testing.B, program string, args ...string) (Usage, string) {
	b.Helper()
	file := filepath.Join(r.dir, "usage.json")
	cmd := exec.CommandContext(b.Context(), r.measure, append([]string{file, program}, args...)...)
	cmd.Env = r.env
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		b.Fatalf("%s %q: %v\n%s%s", program, args, err, out.Bytes(), problems.Bytes())
	}
	var u Usage
	raw, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(raw, &u)
	}
	if err != nil {
		b.Fatal(err)
	}
	return u, out.String()
}
