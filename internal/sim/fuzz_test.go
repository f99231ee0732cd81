package sim_test

import (
	"bytes"
	"net/http"
	"os"
	"testing"

	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
)

// FuzzWorldFile: what is read is written and read again as the same; what makes a
// world makes one whose state can be kept.
func FuzzWorldFile(f *testing.F) {
	if b, err := os.ReadFile("testdata/world.json"); err == nil {
		f.Add(b)
	}
	for _, s := range []string{`{"mepc_world":1}`, `{"mepc_world":1,"redis":{"k":{"list":["a"],"ttl":5}}}`, `[`, `{"mepc_world":1,"engines":[{"containers":[{"name":"aa","image":"x"}]}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := state.Decode(data)
		if err != nil {
			return
		}
		b, err := s.Encode()
		if err != nil {
			t.Fatalf("decoded but not encoded: %v", err)
		}
		if _, err := state.Decode(b); err != nil {
			t.Fatalf("encoded but not decoded: %v\n%s", err, b)
		}
		w, err := sim.New(sim.Options{State: s})
		if err != nil {
			return
		}
		defer w.Close()
		kept, err := w.State()
		if err != nil {
			t.Fatalf("a world without a state: %v", err)
		}
		if b, err = kept.Encode(); err != nil {
			t.Fatal(err)
		}
		if s, err = state.Decode(b); err != nil {
			t.Fatalf("a state that does not decode: %v\n%s", err, b)
		}
		again, err := sim.New(sim.Options{State: s})
		if err != nil {
			t.Fatalf("a world's state that makes no world: %v\n%s", err, b)
		}
		again.Close()
	})
}

// FuzzLoad: whatever is sent to be loaded or built, the engine answers, and what
// it then has can be listed and saved.
func FuzzLoad(f *testing.F) {
	w := newWorld(f)
	f.Add([]byte(call(f, w, "GET", "/images/mepc/app:1.0/get", "", 200)))
	f.Add([]byte("garbage"))
	f.Add([]byte{0x1f, 0x8b, 8})
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := sim.New(sim.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/images/load", "/build?t=x:1"} {
			req, err := http.NewRequestWithContext(t.Context(), "POST", "http://e"+path, bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := w.Engine("").RoundTrip(req)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			resp.Body.Close()
		}
		s, err := w.State()
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range s.Engines[0].Images {
			call(t, w, "GET", "/images/"+i.ID+"/get", "", 200)
		}
	})
}

// FuzzDockerfile: any Dockerfile gets an answer.
func FuzzDockerfile(f *testing.F) {
	for _, s := range []string{
		"FROM scratch\nCOPY f /f", "FROM a AS b\nFROM b\nRUN x", "ARG V=1\nFROM mepc/app:$V.0\nENV A ${V:-x}\nLABEL a=\"b c\" d='e'",
		"FROM scratch\nHEALTHCHECK --interval=1s CMD [\"a\"]\nEXPOSE 1-3/udp\nVOLUME [\"/a\"]\nWORKDIR a\nADD dir/* /x/\\\n\nCMD", "# c\n\\",
	} {
		f.Add(s)
	}
	base := newWorld(f)
	f.Fuzz(func(t *testing.T, dockerfile string) {
		w, err := base.Clone(nil)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://e/build?t=x:1", bytes.NewReader(contextTar(t, dockerfile)))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := w.Engine("").RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if _, err := w.State(); err != nil {
			t.Fatal(err)
		}
	})
}
