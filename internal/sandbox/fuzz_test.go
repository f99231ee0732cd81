package sandbox

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// FuzzCompile looks for sources that crash or hang the compiler, or that
// compile to something that crashes the VM.
func FuzzCompile(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.lua")
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	for _, s := range []string{
		"goto a ::a:: ::a::", "local a, b, c = ...; a, b.c, d[e] = f()", "for a, b, c, d in e, f do break end", "return (...)(...)",
		"x = a.b:c{}[[s]] .. 'a' % 1 ^ -2 .. #{...}", "repeat local x until x", "::x:: goto x", "function a.b.c:d(...) return arg, self end",
		"return 0x, 1e, .., ...", "--[==[ ]==] [=[\n]=]", "local function f(", "if a then elseif b then else end", "a = {[1]=2;3,x=4,...}",
	} {
		f.Add([]byte(s))
	}
	for _, h := range hostile {
		f.Add([]byte(h.src))
	}
	lim := Limits{Steps: 20_000, StringBytes: 1 << 16, HeapBytes: 64 << 20, CallDepth: 200, Coroutines: 20}
	f.Fuzz(func(t *testing.T, src []byte) {
		start := time.Now()
		p, err := Compile("f.lua", src, lim)
		if d := time.Since(start); d > 5*time.Second {
			t.Fatalf("compiling took %v", d)
		}
		if err != nil {
			if _, ok := err.(*SyntaxError); !ok {
				t.Fatalf("error is %T", err)
			}
			return
		}
		vm := New(Options{Limits: lim})
		defer vm.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err = vm.Run(ctx, p)
		switch e := err.(type) {
		case *PanicError:
			t.Fatalf("the VM panicked: %v\n%s", e.Value, e.Stack)
		case *StoppedError:
			t.Fatalf("it was not stopped by its budget")
		}
	})
}
