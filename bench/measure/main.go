// Command measure runs a program and writes what it used to a file, as JSON: see
// Usage in the bench package.
//
//	measure FILE PROGRAM [ARGUMENT ...]
//
// The peak of a program's memory begins, on Linux, with the memory of who
// started it. The benchmarks are large; this program is small. The figures are of
// the program and of all that it started and waited for: of a shell script,
// those of the largest of its programs.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/mepc/mepc-run/internal/clock"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: measure FILE PROGRAM [ARGUMENT ...]")
		os.Exit(2)
	}
	code, err := run(os.Args[1], os.Args[2], os.Args[3:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func run(file, program string, args []string) (int, error) {
	cmd := exec.Command(program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	var wall clock.Wall
	begin := wall.Now()
	err := cmd.Run()
	took := wall.Now().Sub(begin)
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		return 1, err
	}
	used := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	b, err := json.Marshal(map[string]int64{
		"Wall": took.Nanoseconds(),
		"CPU":  used.Utime.Nano() + used.Stime.Nano(),
		"Peak": used.Maxrss << 10, // in KiB on Linux
	})
	if err != nil {
		return 1, err
	}
	return cmd.ProcessState.ExitCode(), os.WriteFile(file, b, 0o600)
}
