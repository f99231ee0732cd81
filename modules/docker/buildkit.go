package docker

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// buildkit follows what an engine says of a build by BuildKit. The messages are those
// of moby.buildkit.v1.StatusResponse, in
// https://github.com/moby/buildkit/blob/master/api/services/control/control.proto, of
// which only these fields are read.
type buildkit struct {
	steps  map[string]*buildStep // by digest
	failed *buildStep
}

// buildStep is what BuildKit calls a vertex.
type buildStep struct {
	name   string
	output tail
}

func newBuildkit() *buildkit { return &buildkit{steps: map[string]*buildStep{}} }

// plainly is a tar that begins with an entry which needs no extended header: BuildKit
// looks at the first KiB alone to see whether what it was sent is a tar.
type plainly struct{ of tarrer }

func (p plainly) Tar(w io.Writer) error {
	t := tar.NewWriter(w)
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755, Format: tar.FormatUSTAR}); err != nil {
		return err
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return p.of.Tar(w)
}

// isTrace reports whether a message is one of BuildKit's.
func isTrace(msg *message) bool { return msg.ID == "moby.buildkit.trace" }

// take looks at one message of the build's output. What it does not know it leaves out.
func (b *buildkit) take(msg *message, m *meter) {
	var status []byte
	if json.Unmarshal(msg.Aux, &status) != nil {
		return
	}
	for field, value := range protoFields(status) {
		switch field {
		case 1:
			b.vertex(value, m)
		case 3:
			b.log(value)
		}
	}
}

func (b *buildkit) step(digest []byte) *buildStep {
	s := b.steps[string(digest)]
	if s == nil {
		s = &buildStep{output: tail{most: buildTail}}
		b.steps[string(digest)] = s
	}
	return s
}

func (b *buildkit) vertex(v []byte, m *meter) {
	var digest, name, failed []byte
	started := false
	for field, value := range protoFields(v) {
		switch field {
		case 1:
			digest = value
		case 3:
			name = value
		case 5:
			started = true
		case 7:
			failed = value
		}
	}
	s := b.step(digest)
	s.name = string(name)
	if started && !strings.HasPrefix(s.name, "[internal]") {
		m.text(s.name)
	}
	// A step that was cut off because another one failed says so, too.
	if len(failed) > 0 && !strings.Contains(string(failed), "context canceled") {
		b.failed = s
	}
}

func (b *buildkit) log(l []byte) {
	var digest, text []byte
	for field, value := range protoFields(l) {
		switch field {
		case 1:
			digest = value
		case 4:
			text = value
		}
	}
	b.step(digest).output.write(string(text))
}

// said is what the step that failed wrote last, under the line of the Dockerfile that it
// stands in.
func (b *buildkit) said(dockerfile string) string {
	if b.failed == nil {
		return ""
	}
	out := b.failed.name
	if n := lineOf(dockerfile, b.failed.name); n > 0 {
		out = fmt.Sprintf("line %d: %s", n, out)
	}
	if text := b.failed.output.String(); text != "" {
		out += "\n" + text
	}
	return out
}

// lineOf finds a step in the Dockerfile: BuildKit calls it "[build 2/3] RUN make", and
// writes the instruction in one line. 0: it is not there, or more than once.
func lineOf(dockerfile, step string) int {
	_, instruction, ok := strings.Cut(step, "] ")
	if !ok {
		return 0
	}
	words, found := strings.Fields(instruction), 0
	lines := strings.Split(dockerfile, "\n")
	for n := range lines {
		if !begins(lines[n:], words) {
			continue
		}
		if found > 0 {
			return 0
		}
		found = n + 1
	}
	return found
}

// begins reports whether lines begin with the words of an instruction.
func begins(lines, words []string) bool {
	for _, line := range lines {
		text, goesOn := strings.CutSuffix(strings.TrimSpace(line), "\\")
		for i, word := range strings.Fields(text) {
			if len(words) == 0 || i > 0 && word != words[0] || i == 0 && !strings.EqualFold(word, words[0]) {
				return false
			}
			words = words[1:]
		}
		if !goesOn {
			return len(words) == 0
		}
	}
	return false
}

// protoFields goes over the fields of a message that hold bytes, as far as it can be read.
func protoFields(b []byte) func(func(protowire.Number, []byte) bool) {
	return func(yield func(protowire.Number, []byte) bool) {
		for len(b) > 0 {
			field, kind, n := protowire.ConsumeTag(b)
			if n < 0 {
				return
			}
			b = b[n:]
			if kind != protowire.BytesType {
				if n = protowire.ConsumeFieldValue(field, kind, b); n < 0 {
					return
				}
				b = b[n:]
				continue
			}
			value, n := protowire.ConsumeBytes(b)
			if n < 0 || !yield(field, value) {
				return
			}
			b = b[n:]
		}
	}
}
