package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/clock"
)

func TestReadStreamFindsTheErrorAmongTheMessages(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		want error // errors.Is, or nil
		text string
	}{
		"nothing":          {"", nil, ""},
		"words":            {`{"stream":"a"}` + "\r\n" + `{"status":"b","id":"c","progressDetail":{"current":1,"total":2}}`, nil, ""},
		"an error":         {`{"stream":"a"}{"errorDetail":{"code":3,"message":"boom"},"error":"boom"}{"stream":"b"}`, nil, "boom"},
		"an old error":     {`{"error":"boom"}`, nil, "boom"},
		"cut":              {`{"stream":"a"}{"stre`, io.ErrUnexpectedEOF, ""},
		"a page":           {`<html>Bad Gateway</html>`, errNotStream, "Bad Gateway"},
		"a page after all": {`{"stream":"a"}<html>`, errNotStream, ""},
		"another type":     {`{"stream":7}`, errNotStream, ""},
		"too long":         {`{"stream":"` + strings.Repeat("x", maxMessage+1) + `"}`, errNotStream, "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			err := readStream(strings.NewReader(tt.in), func(*message) {})
			if tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && tt.text == "" && err != nil {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if tt.text != "" && (err == nil || !strings.Contains(err.Error(), tt.text)) {
				t.Errorf("%v lacks %q", err, tt.text)
			}
		})
	}
}

func TestTailKeepsTheLastLines(t *testing.T) {
	tl := &tail{most: 3}
	for _, s := range []string{"one\ntwo\n", "thr", "ee\r\n\n", "\x1b[91mfour\x1b[0m\n", strings.Repeat("x", 3*maxTailLine)} {
		tl.write(s)
	}
	want := "three\nfour\n" + strings.Repeat("x", maxTailLine)
	if diff := cmp.Diff(want, tl.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestLastBytesKeepsWholeLines(t *testing.T) {
	l := &lastBytes{most: 10}
	for range 100 {
		if _, err := l.Write([]byte("12345\n")); err != nil {
			t.Fatal(err)
		}
		if cap(l.b) > 100 {
			t.Fatalf("it holds %d bytes", cap(l.b))
		}
	}
	if got := l.String(); got != "12345\n" {
		t.Errorf("%q", got)
	}
}

func quietMeter() *meter {
	return &meter{ctx: context.Background(), clock: clock.Wall{}, layers: map[string][2]int64{}}
}

// archive makes a tar of names and bodies.
func archive(t interface{ Fatal(...any) }, files ...string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: files[i], Size: int64(len(files[i+1])), Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const manifest = `[{"Config":"abc.json","RepoTags":["a:1"],"Layers":["x/layer.tar"]},{"Config":"blobs/sha256/def","RepoTags":null,"Layers":[]}]`

func TestTheScanSeesWhichImagesATarHas(t *testing.T) {
	whole := archive(t, "x/layer.tar", strings.Repeat("l", 3000), "manifest.json", manifest, "repositories", "{}")
	for name, tt := range map[string]struct {
		in  []byte
		ids string
		err error
	}{
		"a whole one":    {whole, "sha256:abc sha256:def", nil},
		"half":           {whole[:2000], "", io.ErrUnexpectedEOF},
		"no manifest":    {archive(t, "a", "b"), "", errNoManifest},
		"an OCI layout":  {archive(t, "oci-layout", "{}", "index.json", "{}"), "", errLayout},
		"nothing":        {nil, "", errNoManifest},
		"zeros":          {make([]byte, 1024), "", errNoManifest},
		"text":           {[]byte("<html>"), "", errNoTar},
		"compressed":     {[]byte("\x1f\x8b\x08\x00......"), "", errCompressed},
		"a bad manifest": {archive(t, "manifest.json", "{"), "", io.ErrUnexpectedEOF},
		"JSON behind":    {append(whole[:len(whole)-1024:len(whole)-1024], bytes.Repeat([]byte(`{"error":"no space"}`), 60)...), "sha256:abc sha256:def", tar.ErrHeader},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSource(bytes.NewReader(tt.in), quietMeter())
			images, err := s.finish(true)
			if !errors.Is(err, tt.err) || (err != nil) != (tt.err != nil) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
			var ids []string
			for _, i := range images {
				ids = append(ids, i.id())
			}
			if got := strings.Join(ids, " "); got != tt.ids {
				t.Errorf("got %q, want %q", got, tt.ids)
			}
		})
	}
}

func FuzzReadStream(f *testing.F) {
	for _, s := range []string{
		`{"stream":"Step 1/2 : FROM scratch\n"}`, `{"aux":{"ID":"sha256:abc"}}`, `{"errorDetail":{"code":1,"message":"m"},"error":"m"}`,
		`{"status":"Pushing","progressDetail":{"current":512,"total":9},"id":"x"}`, `{"stream":"Loaded image: a:1\n"}`, "<html>", `{"a":`, "null", "[]", `""`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		n := 0
		out := &Built{}
		m := quietMeter()
		tl := &tail{most: 5}
		err := readStream(bytes.NewReader(in), func(msg *message) { n++; out.take(msg, m, tl) })
		if len(strings.Split(tl.String(), "\n")) > 5 {
			t.Error("the tail has more lines than it should")
		}
		// Cutting a stream that was good never makes another error of it than cut.
		if err == nil && n > 0 && len(in) > 1 {
			cut := readStream(bytes.NewReader(in[:len(in)-1]), func(*message) {})
			if errors.Is(cut, errLongMessage) {
				t.Errorf("cut: %v", cut)
			}
		}
		_, _ = readLoad(bytes.NewReader(in))
	})
}

func FuzzReadArchive(f *testing.F) {
	f.Add(archive(f, "manifest.json", manifest))
	f.Add(archive(f, "a", "b", "manifest.json", "[]"))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, in []byte) {
		images, err := readArchive(bytes.NewReader(in))
		for _, i := range images {
			if !strings.HasPrefix(i.id(), "sha256:") {
				t.Errorf("id %q", i.id())
			}
		}
		if err == nil && !bytes.Contains(in, []byte("manifest.json")) {
			t.Error("an archive without a manifest is taken")
		}
	})
}
