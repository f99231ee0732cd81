package lab

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/docker/docker/api/types/build"

	"github.com/mepc/mepc-run/demo/sample"
)

// Names of the sample images.
const (
	AppRepository = "mepc/app"    // SampleImages tags it with each version
	DBImage       = "mepc/db:1.0" // what the app links to as db
)

// AppImage is the reference of the sample app's image at a version.
func AppImage(version string) string { return AppRepository + ":" + version }

// SampleImages builds the sample app FROM scratch at each version, and the
// backend it links to. It pulls nothing. The programs are compiled once per
// machine; a version then costs a few small layers.
func SampleImages(ctx context.Context, e *Engine, versions ...string) error {
	if err := BuildBackend(ctx, e, DBImage, "1.0"); err != nil {
		return err
	}
	for _, v := range versions {
		if err := BuildApp(ctx, e, AppImage(v), v); err != nil {
			return err
		}
	}
	return nil
}

// BuildApp builds the sample app's image as ref; its answers say version.
func BuildApp(ctx context.Context, e *Engine, ref, version string) error {
	return buildSample(ctx, e, "Dockerfile", "app", ref, version)
}

// BuildBackend builds the backend's image as ref; its answers say version.
func BuildBackend(ctx context.Context, e *Engine, ref, version string) error {
	return buildSample(ctx, e, "Dockerfile.backend", "backend", ref, version)
}

func buildSample(ctx context.Context, e *Engine, dockerfile, program, ref, version string) error {
	bin, err := compileSample(ctx)
	if err != nil {
		return err
	}
	df, err := sample.Files.ReadFile(dockerfile)
	if err != nil {
		return err
	}
	exe, err := os.ReadFile(filepath.Join(bin, program))
	if err != nil {
		return err
	}
	var tarball bytes.Buffer
	tw := tar.NewWriter(&tarball)
	for _, f := range []struct {
		name string
		mode int64
		body []byte
	}{{"Dockerfile", 0o644, df}, {"bin/" + program, 0o755, exe}} {
		// No times: the engine's build cache then knows the file again.
		if err := tw.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.body))}); err != nil {
			return err
		}
		if _, err := tw.Write(f.body); err != nil {
			return err
		}
	}
	if err := tw.Close(); err != nil {
		return err
	}
	return Build(ctx, e, &tarball, ref, map[string]string{"VERSION": version})
}

// Build builds an image as ref from a build context in tar form, by the
// engine's classic builder and without a pull.
func Build(ctx context.Context, e *Engine, tarball io.Reader, ref string, args map[string]string) error {
	cli, err := e.Client()
	if err != nil {
		return err
	}
	defer cli.Close()
	buildArgs := map[string]*string{}
	for k, v := range args {
		buildArgs[k] = &v
	}
	resp, err := cli.ImageBuild(ctx, tarball, build.ImageBuildOptions{
		Tags:        []string{ref},
		BuildArgs:   buildArgs,
		Labels:      e.labels(),
		Remove:      true,
		ForceRemove: true,
		Version:     build.BuilderV1,
	})
	if err != nil {
		return fmt.Errorf("build %s: %w", ref, err)
	}
	defer resp.Body.Close()
	// The engine has answered 200 by now; a failure is in the stream.
	for dec := json.NewDecoder(resp.Body); ; {
		var m struct {
			Error string `json:"error"`
		}
		switch err := dec.Decode(&m); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("build %s: read the engine's answer: %w", ref, err)
		case m.Error != "":
			return fmt.Errorf("build %s: %s", ref, m.Error)
		}
	}
}

// SampleContext makes dir a folder to run `docker build` in, as a user of the
// sample app would have it: the files of demo/sample with the programs compiled
// in bin.
func SampleContext(ctx context.Context, dir string) error {
	bin, err := compileSample(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		return err
	}
	for _, name := range []string{"Dockerfile", "Dockerfile.backend", ".dockerignore"} {
		b, err := sample.Files.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	for _, name := range []string{"app", "backend"} {
		b, err := os.ReadFile(filepath.Join(bin, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "bin", name), b, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// compileSample returns a folder with the programs app and backend, compiled
// for the engine's Linux. They are kept in the user's cache directory by the
// hash of their sources and the compiler, so most runs compile nothing.
func compileSample(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	key, err := sampleHash()
	if err != nil {
		return "", fmt.Errorf("hash the sample app: %w", err)
	}
	parent := filepath.Join(cache, "mepc-run", "sample")
	dir := filepath.Join(parent, key)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(parent, ".new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", tmp+"/", sample.AppPackage, sample.BackendPackage)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile the sample app: %w: %s", err, bytes.TrimSpace(out))
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	// Complete or not there; of two at once either will do.
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return dir, nil
}

func sampleHash() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOARCH)
	err := fs.WalkDir(sample.Files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		b, err := sample.Files.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n%s", path, len(b), b)
		return err
	})
	return fmt.Sprintf("%x", h.Sum(nil)[:12]), err
}
