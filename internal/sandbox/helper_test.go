package sandbox

import (
	"context"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// outcome records what a script did: its printed lines, and its error's message.
type outcome struct{ out, err string }

// runScript runs src in a fresh VM.
func runScript(tb testing.TB, src string, opts Options) (outcome, error) {
	tb.Helper()
	var b strings.Builder
	opts.Print = func(line string) { b.WriteString(line + "\n") }
	vm := New(opts)
	defer vm.Close()
	p, err := Compile("t.lua", []byte(src), opts.Limits)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err = vm.Run(ctx, p)
	}
	o := outcome{out: b.String()}
	if err != nil {
		o.err = err.Error()
	}
	return o, err
}

// mustPrint runs src and compares what it prints.
func mustPrint(t *testing.T, src, want string) {
	t.Helper()
	o, err := runScript(t, src, Options{})
	if err != nil {
		t.Fatalf("%s\nfailed: %v", src, err)
	}
	if strings.TrimSuffix(o.out, "\n") != want {
		t.Errorf("%s\nprinted %q, want %q", src, o.out, want)
	}
}

// newVM returns a VM that is closed with the test.
func newVM(t testing.TB, opts Options) *VM {
	vm := New(opts)
	t.Cleanup(vm.Close)
	return vm
}

// run compiles and runs src in vm.
func run(t testing.TB, vm *VM, src string) ([]lua.LValue, error) {
	t.Helper()
	p, err := Compile("t.lua", []byte(src), vm.lim)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return vm.Run(ctx, p)
}
