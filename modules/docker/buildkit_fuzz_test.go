package docker

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// vertexOf is a step as BuildKit tells it.
func vertexOf(digest, name, failed string) []byte {
	var v []byte
	for field, text := range map[protowire.Number]string{1: digest, 3: name, 7: failed} {
		v = protowire.AppendString(protowire.AppendTag(v, field, protowire.BytesType), text)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), v)
}

func FuzzBuildKitStatus(f *testing.F) {
	f.Add(vertexOf("d", "[1/2] COPY a /", "boom"), "FROM scratch\nCOPY a /\n")
	f.Add([]byte{0x0a, 0xff}, "")
	f.Fuzz(func(t *testing.T, status []byte, dockerfile string) {
		aux, err := json.Marshal(status)
		if err != nil {
			t.Fatal(err)
		}
		b := newBuildkit()
		b.take(&message{ID: "moby.buildkit.trace", Aux: aux}, quietMeter())
		b.said(dockerfile)
	})
}

func FuzzSessionFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 2, 'a', 'b'})
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		if b, err := readFrame(bytes.NewReader(in)); err == nil && len(b) != len(in[5:5+len(b)]) {
			t.Errorf("%d bytes of %d", len(b), len(in))
		}
	})
}

func TestAStepIsFoundInTheDockerfile(t *testing.T) {
	dockerfile := strings.Join([]string{"FROM a AS build", "run make \\", "   all", "COPY x y", "FROM b", "COPY x y", "CMD [\"x\"]"}, "\n")
	for step, line := range map[string]int{
		"[build 2/3] RUN make all": 2, "[stage-1 2/2] COPY x y": 0, "[internal] load metadata": 0, "[2/2] RUN make": 0, "RUN make all": 0, "[1/3] FROM b": 5,
	} {
		if got := lineOf(dockerfile, step); got != line {
			t.Errorf("%s is in line %d, not %d", step, got, line)
		}
	}
}
