package servers

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary stand in for ssh when it is called by that
// name: see fakeSSH.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "ssh" {
		os.Exit(standIn())
	}
	os.Exit(m.Run())
}

// quiet is a logger for servers whose handlers fail on purpose.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// fakeSSH puts an ssh into PATH that writes its arguments to a file, whose path
// is returned, and then does what do says: "say TEXT" on standard error and
// fail, or connect to a TCP address.
func fakeSSH(t *testing.T, do string) (argsFile string) {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "ssh")); err != nil {
		t.Fatal(err)
	}
	argsFile = filepath.Join(dir, "args")
	t.Setenv("PATH", dir)
	t.Setenv("MEPC_FAKE_SSH", do)
	t.Setenv("MEPC_FAKE_SSH_ARGS", argsFile)
	return argsFile
}

func standIn() int {
	if err := os.WriteFile(os.Getenv("MEPC_FAKE_SSH_ARGS"), []byte(strings.Join(os.Args[1:], " ")), 0o600); err != nil {
		return 1
	}
	do := os.Getenv("MEPC_FAKE_SSH")
	if text, ok := strings.CutPrefix(do, "say "); ok {
		fmt.Fprintln(os.Stderr, text)
		return 255
	}
	c, err := net.Dial("tcp", do)
	if err != nil {
		return 1
	}
	go func() {
		_, _ = io.Copy(c, os.Stdin)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(os.Stdout, c)
	return 0
}
