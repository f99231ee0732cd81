package ship

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

const (
	base = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	top  = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// saved is a tar as an engine saves it: the layout of version 25 and later, or the
// older one.
func saved(t testing.TB, older bool) []byte {
	t.Helper()
	files := [][2]string{
		{"blobs/sha256/" + base[7:], strings.Repeat("base", 1000)},
		{"blobs/sha256/" + top[7:], "top"},
		{"config.json", "{}"},
		{"manifest.json", `[{"Config":"config.json","RepoTags":["mepc/app:1.1"],"Layers":[]}]`},
		{"oci-layout", "{}"},
		{"index.json", `{"schemaVersion":2,"manifests":[{"digest":"sha256:cc","annotations":{"io.containerd.image.name":"docker.io/mepc/app:1.1"}}]}`},
	}
	if older {
		dir := LegacyDir(base, "", nil)
		files[0][0], files[1][0] = dir+"/layer.tar", strings.Repeat("c", 64)+"/layer.tar"
		files = append(files, [2]string{dir + "/json", "{}"}, [2]string{"repositories", "{}"})
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f[0], Size: int64(len(f[1])), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// held are the files of a tar.
func held(t *testing.T, data []byte) map[string]string {
	t.Helper()
	out := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = string(text)
	}
}

func TestEachPartHasWhatItsTargetLacks(t *testing.T) {
	for _, older := range []bool{false, true} {
		var whole, part bytes.Buffer
		all, rest := &Part{W: &whole}, &Part{W: &part, Have: 1}
		broken := &Part{W: failing{}}
		if err := Split(bytes.NewReader(saved(t, older)), Image{Layers: []string{base, top}, Name: "tmp:1"}, all, rest, broken); err != nil {
			t.Fatal(err)
		}
		if all.Layers != 2 || rest.Layers != 1 || rest.LeftOut != 4000 || broken.Err == nil {
			t.Errorf("older %t: %+v, %+v, %+v", older, all, rest, broken)
		}
		hasBase := func(files map[string]string) bool {
			for name, text := range files {
				if strings.Contains(text, "basebase") {
					return name != ""
				}
			}
			return false
		}
		for _, b := range []*bytes.Buffer{&whole, &part} {
			files := held(t, b.Bytes())
			if !strings.Contains(files["index.json"], `"io.containerd.image.name":"docker.io/library/tmp:1"`) || strings.Contains(files["index.json"], "mepc/app") {
				t.Errorf("the containerd image store learns the name from %s", files["index.json"])
			}
			if !strings.Contains(files["manifest.json"], `"RepoTags":["tmp:1"]`) || files["config.json"] == "" || files["repositories"] != "" || hasBase(files) != (b == &whole) {
				t.Errorf("older %t: %q", older, files)
			}
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWhatIsNoImageIsSaid(t *testing.T) {
	whole := saved(t, false)
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"empty": {nil, ErrNoImage}, "cut off": {whole[:3000], io.ErrUnexpectedEOF}, "another": {bytes.Repeat([]byte("x"), 2048), tar.ErrHeader},
	} {
		if err := Split(bytes.NewReader(c.data), Image{Layers: []string{base, top}}, &Part{W: io.Discard}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if err := Split(bytes.NewReader(whole), Image{}, &Part{W: failing{}}); !errors.Is(err, ErrNobody) {
		t.Errorf("nobody takes it: %v", err)
	}
}

func TestHowManyLayersAreShared(t *testing.T) {
	for _, c := range []struct {
		want, has string
		depth     int
	}{{"abc", "abd", 2}, {"abc", "abc", 3}, {"abc", "bca", 0}, {"abc", "", 0}, {"a", "abc", 1}} {
		if n := Depth(strings.Split(c.want, ""), strings.Split(c.has, "")); n != c.depth {
			t.Errorf("%q and %q share %d layers, want %d", c.want, c.has, n, c.depth)
		}
	}
}

func TestAQueueHasItsBoundsAndItsEnds(t *testing.T) {
	q := NewQueue(time.Minute)
	text := strings.Repeat("0123456789", 50_000)
	go func() {
		_, err := io.WriteString(q, text)
		q.CloseWithError(err)
	}()
	if got, err := io.ReadAll(q); err != nil || string(got) != text || q.Bytes() != int64(len(text)) {
		t.Errorf("%d of %d bytes, %v", len(got), len(text), err)
	}
	q = NewQueue(time.Millisecond)
	if _, err := io.WriteString(q, strings.Repeat("x", 2<<20)); !errors.Is(err, ErrStalled) {
		t.Errorf("nobody reads: %v", err)
	}
	q = NewQueue(time.Minute)
	_ = q.Close()
	if _, err := io.WriteString(q, strings.Repeat("x", 2<<20)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the reader has gone: %v", err)
	}
	q = NewQueue(time.Minute)
	q.CloseWithError(io.ErrNoProgress)
	if _, err := q.Read(make([]byte, 1)); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("the writer's error: %v", err)
	}
}

// link takes a second for each megabyte.
type link struct {
	bytes.Buffer
	now  time.Time
	slow bool
}

func (l *link) Write(p []byte) (int, error) {
	if l.slow {
		l.now = l.now.Add(time.Duration(len(p)) * time.Second >> 20)
	}
	return l.Buffer.Write(p)
}

func TestASlowLinkIsCompressedFor(t *testing.T) {
	text := bytes.Repeat([]byte("compressible "), 1<<20)
	for _, slow := range []bool{false, true} {
		l := &link{slow: slow}
		g := NewAutoGzip(l, func() time.Time { l.now = l.now.Add(time.Microsecond); return l.now })
		for c := range slices.Chunk(text, 1<<15) {
			if _, err := g.Write(c); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		if less := l.Len() < len(text)/2; less != slow {
			t.Errorf("slow %t: %d bytes became %d", slow, len(text), l.Len())
		}
		r, err := gzip.NewReader(l)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, text) {
			t.Errorf("slow %t: it does not unpack to what it was: %v", slow, err)
		}
	}
}

// FuzzSplit looks for a tar that makes Split hang, panic, or write a part that is no
// tar after it said that all is well.
func FuzzSplit(f *testing.F) {
	for _, older := range []bool{false, true} {
		f.Add(saved(f, older), 1)
	}
	f.Add([]byte(nil), 0)
	f.Fuzz(func(t *testing.T, data []byte, have int) {
		var out bytes.Buffer
		p := &Part{W: &out, Have: max(0, min(have, 3))}
		if err := Split(bytes.NewReader(data), Image{Layers: []string{base, top}, Name: "tmp:1"}, p); err != nil || p.Err != nil {
			return
		}
		if files := held(t, out.Bytes()); files["manifest.json"] == "" {
			t.Errorf("a part without a manifest: %q", files)
		}
	})
}

func TestZstdIsUnpackedToWhatWasPacked(t *testing.T) {
	t.Parallel()
	want := bytes.Repeat([]byte("what compresses well, "), 100_000)
	var packed bytes.Buffer
	z := NewZstd(&packed)
	if _, err := z.Write(want); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := zstd.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n := packed.Len(); n > len(want)/10 {
		t.Errorf("%d bytes are packed in %d", len(want), n)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestAnImageIsJoinedForEitherStore(t *testing.T) {
	t.Parallel()
	config, layer := []byte(`{"rootfs": {}}`), InMemory([]byte("layer"))
	files := func(write func(io.Writer) error) map[string]string {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		return held(t, b.Bytes())
	}
	got := files(func(w io.Writer) error { return Join(w, "a/b:1", config, []*File{nil, layer}) })
	want := map[string]string{
		"config.json": string(config), "1/layer.tar": "layer",
		"manifest.json": `[{"Config":"config.json","Layers":["0/layer.tar","1/layer.tar"],"RepoTags":["a/b:1"]}]`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	got = files(func(w io.Writer) error {
		return JoinLayout(w, "a/b:1", &Pushed{Manifest: &Manifest{MediaType: "type", Raw: []byte("{}")}}, map[string]*File{"sha256:cc": InMemory(config), "sha256:11": layer})
	})
	want = map[string]string{
		"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "blobs/sha256/cc": string(config), "blobs/sha256/11": "layer",
		"blobs/sha256/44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a": "{}",
		"index.json": `{"manifests":[{"annotations":{"io.containerd.image.name":"docker.io/a/b:1","org.opencontainers.image.ref.name":"1"},` +
			`"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","mediaType":"type","size":2}],"schemaVersion":2}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	failing := &File{Size: 5, WriteTo: func(io.Writer) error { return io.ErrUnexpectedEOF }}
	if err := Join(io.Discard, "a/b:1", config, []*File{failing}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a layer that cannot be read: %v", err)
	}
}
