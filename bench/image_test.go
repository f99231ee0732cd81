package bench

import (
	"archive/tar"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/lab"
)

const mega = 1_000_000

// noise is bytes that no compression makes smaller; the same seed gives the
// same ones.
func noise(seed, size int64) io.Reader {
	var key [32]byte
	copy(key[:], fmt.Sprint(seed))
	return io.LimitReader(rand.NewChaCha8(key), size)
}

// ownEngine starts an engine for one benchmark. The environment's is not used:
// these move large images, and talk to the engine's socket.
func ownEngine(b *testing.B) *lab.Engine {
	b.Helper()
	e, err := lab.StartEngine(b.Context(), lab.EngineOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Stop(); err != nil {
			b.Errorf("stop the engine: %v", err)
		}
	})
	return e
}

// buildNoise builds an image of the given number of layers, each of the given size.
func buildNoise(b *testing.B, e *lab.Engine, ref string, layers int, size int64) {
	b.Helper()
	r, w := io.Pipe()
	go func() { w.CloseWithError(writeNoise(w, layers, size)) }()
	if err := lab.Build(b.Context(), e, r, ref, nil); err != nil {
		b.Fatal(err)
	}
}

// writeNoise writes the build context.
func writeNoise(w io.Writer, layers int, size int64) error {
	t := tar.NewWriter(w)
	var dockerfile strings.Builder
	dockerfile.WriteString("FROM scratch\n")
	for i := range layers {
		name := fmt.Sprintf("layer%d", i)
		fmt.Fprintf(&dockerfile, "COPY %s /\n", name)
		if err := writeFile(t, name, noise(int64(i), size), size); err != nil {
			return err
		}
	}
	text := dockerfile.String()
	if err := writeFile(t, "Dockerfile", strings.NewReader(text), int64(len(text))); err != nil {
		return err
	}
	return t.Close()
}

func writeFile(t *tar.Writer, name string, r io.Reader, size int64) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size}); err != nil {
		return err
	}
	_, err := io.Copy(t, r)
	return err
}

// application is a build context of the sample app with a base that stays and a
// part that changes from version to version.
type application struct{ dir string }

func newApplication(b *testing.B, base int64) *application {
	b.Helper()
	a := &application{dir: b.TempDir()}
	if err := lab.SampleContext(b.Context(), a.dir); err != nil {
		b.Fatal(err)
	}
	text := "FROM scratch\nCOPY base /\nCOPY bin/app /app\nCOPY change /\nCMD [\"/app\"]\n"
	for name, text := range map[string]string{"Dockerfile": text, ".dockerignore": "bin/backend\n"} {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	a.write(b, "base", -1, base)
	return a
}

// change writes what is new in a version.
func (a *application) change(b *testing.B, version, size int64) {
	b.Helper()
	a.write(b, "change", version, size)
}

func (a *application) write(b *testing.B, name string, seed, size int64) {
	b.Helper()
	f, err := os.Create(filepath.Join(a.dir, name))
	if err == nil {
		_, err = io.Copy(f, noise(seed, size))
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
}
