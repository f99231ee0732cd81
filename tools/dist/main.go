// Command dist makes a release: for each platform a static binary in an archive with
// man pages, completions and units, for Linux also a Debian package and a container
// image, a bill of materials, and the checksums of all. The same commit gives the same
// bytes: all times are the commit's.
//
//	go -C tools run ./dist [-out DIR] [-platforms linux/amd64,...] [-version V]
package main

import (
	"cmp"
	"crypto/sha256"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	r := &release{}
	platforms := flag.String("platforms", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64", "what to build for")
	flag.StringVar(&r.version, "version", "", "the version, such as 0.1.0; without one, git's")
	flag.StringVar(&r.out, "out", "../dist", "the directory to write to")
	flag.Parse()
	if err := r.make(strings.Split(*platforms, ",")); err != nil {
		log.Fatal(err)
	}
}

// release is what is made, and for which commit.
type release struct {
	version, commit, date string
	time                  time.Time // of the commit
	root, out             string
	files                 []string // made, in out
}

func (r *release) make(platforms []string) error {
	var err error
	if r.root, err = filepath.Abs(".."); err != nil {
		return err
	}
	if r.out, err = filepath.Abs(r.out); err != nil {
		return err
	}
	if err = r.look(); err != nil {
		return err
	}
	if err = os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "mepc-dist-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := writeManual(filepath.Join(work, "man"), r.version, r.time); err != nil {
		return err
	}
	for _, p := range platforms {
		system, arch, ok := strings.Cut(p, "/")
		if !ok {
			return fmt.Errorf("%q is not a platform such as linux/amd64", p)
		}
		if err := r.platform(work, system, arch); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return r.checksums()
}

// look asks git for the commit. What is not committed is not in its date, but says so
// in the version.
func (r *release) look() error {
	git := func(args ...string) (string, error) {
		out, err := r.command("git", args...).Output()
		return strings.TrimSpace(string(out)), err
	}
	described, err := git("describe", "--tags", "--always", "--dirty")
	if err != nil {
		return fmt.Errorf("git describe: %w", err)
	}
	r.version = cmp.Or(r.version, strings.TrimPrefix(described, "v"))
	if r.version[0] < '0' || r.version[0] > '9' || !strings.Contains(r.version, ".") {
		r.version = "0.0.0~" + r.version // no tag: older than any release
	}
	if r.commit, err = git("rev-parse", "--short=12", "HEAD"); err != nil {
		return fmt.Errorf("git rev-parse: %w", err)
	}
	if r.date, err = git("log", "-1", "--format=%cI"); err != nil {
		return fmt.Errorf("git log: %w", err)
	}
	r.time, err = time.Parse(time.RFC3339, r.date)
	r.time = r.time.UTC()
	return err
}

func (r *release) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stderr = r.root, os.Stderr
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath")
	return cmd
}

// platform builds for one: the binary first, then what it is packed into.
func (r *release) platform(work, system, arch string) error {
	dir := filepath.Join(work, system+"-"+arch)
	if err := os.MkdirAll(filepath.Join(dir, "completions"), 0o755); err != nil {
		return err
	}
	binary := filepath.Join(dir, "mepc-run")
	const in = " -X github.com/mepc/mepc-run/cli."
	build := r.command("go", "build", "-buildvcs=false",
		"-ldflags", "-s -w"+in+"version="+r.version+in+"commit="+r.commit+in+"date="+r.date, "-o", binary, "./cmd/mepc-run")
	build.Env = append(build.Env, "GOOS="+system, "GOARCH="+arch)
	if out, err := build.Output(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	if err := writeCompletions(filepath.Join(dir, "completions")); err != nil {
		return err
	}
	for from, to := range map[string]string{filepath.Join(work, "man"): "man", filepath.Join(r.root, "packaging/systemd"): "systemd"} {
		if to == "systemd" && system != "linux" {
			continue
		}
		if err := os.CopyFS(filepath.Join(dir, to), os.DirFS(from)); err != nil {
			return err
		}
	}
	for _, name := range []string{"README.md", "CHANGELOG.md"} {
		text, err := os.ReadFile(filepath.Join(r.root, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	name := fmt.Sprintf("mepc-run_%s_%s_%s", r.version, system, arch)
	makers := []func() error{
		func() error { return r.write(name+".tar.gz", archive(dir, r.time)) },
		func() error { return r.bill(name+".cdx.json", binary) },
	}
	if system == "linux" {
		makers = append(makers,
			func() error { return r.debian(name+".deb", dir, arch) },
			func() error { return r.write(name+".image.tar", image(binary, arch, r)) })
	}
	for _, m := range makers {
		if err := m(); err != nil {
			return err
		}
	}
	return nil
}

// write makes a file of the release.
func (r *release) write(name string, content func(*os.File) error) error {
	f, err := os.Create(filepath.Join(r.out, name))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := content(f); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.files = append(r.files, name)
	return f.Close()
}

// bill lists the modules that the binary was built from.
func (r *release) bill(name, binary string) error {
	cmd := r.command("go", "tool", "-modfile=tools/go.mod", "cyclonedx-gomod", "bin",
		"-json", "-noserial", "-notimestamp", "-std", "-version", r.version, "-output", filepath.Join(r.out, name), binary)
	if out, err := cmd.Output(); err != nil {
		return fmt.Errorf("cyclonedx-gomod: %w\n%s", err, out)
	}
	r.files = append(r.files, name)
	return nil
}

func (r *release) checksums() error {
	slices.Sort(r.files)
	var lines strings.Builder
	for _, name := range r.files {
		content, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%x  %s\n", sha256.Sum256(content), name)
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(lines.String()), 0o644)
}
