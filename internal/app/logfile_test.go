package app

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestALogFileIsOpenedAgainOnSIGHUP(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	l, err := openLogFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	write := func(s string) {
		if _, err := l.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	write("before\n")
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	write("after the rename\n")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(name); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it is not opened again")
		}
	}
	for got := ""; got != "new\n"; {
		write("new\n")
		b, _ := os.ReadFile(name)
		got = string(b)[:min(len(b), 4)]
	}
	old, _ := os.ReadFile(name + ".1")
	if s := string(old); len(s) < 24 || s[:24] != "before\nafter the rename\n" {
		t.Errorf("the old one holds %q", s)
	}
}
