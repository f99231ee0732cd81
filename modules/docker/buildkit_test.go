package docker_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/servers"
)

// The engine's BuildKit knows Dockerfiles that its classic builder does not.
func TestBuildKitBuilds(t *testing.T) {
	b := labBench(t)
	b.params["dir"] = t.TempDir()
	dir := b.params["dir"].(string)
	writeIn(t, dir, "a", "a file")
	lines, files := []string{"FROM mepc/app:1.0", "ARG V=none", "COPY --chmod=640 a /a", "LABEL of=$V"}, "a file"
	if modern() {
		lines = append(lines, "COPY --link <<END /b", "a heredoc of $V", "END")
		files += "a heredoc of 1.1\n"
	}
	writeIn(t, dir, "Dockerfile", strings.Join(lines, "\n"))
	b.params["both"] = fmt.Sprint(modern())
	got := b.run(`
		local how = {context = P.dir, tag = "mepc/kit:1", builder = "buildkit", args = {V = "1.1"}, labels = {more = "label"}}
		docker.build(how)
		how.inline_cache, how.cache_from = true, {"mepc/kit:1"}
		local again = docker.build(how)
		docker.create{name = "kit", image = "mepc/kit:1"}
		local files = docker.copy_from("kit", "/a").content .. (P.both == "true" and docker.copy_from("kit", "/b").content or "")
		docker.remove("kit", {force = true})
		local i = docker.image("mepc/kit:1")
		docker.remove_image("mepc/kit:1")
		return {id = again.id == i.id, files = files, labels = i.labels.of .. i.labels.more}`)
	want := map[string]any{"id": true, "files": files, "labels": "1.1label"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// digester is a program that writes the digest of one file to another.
const digester = `package main

import (
	"crypto/sha256"
	"fmt"
	"os"
)

func main() {
	b, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = os.WriteFile(os.Args[2], fmt.Appendf(nil, "%x", sha256.Sum256(b)), 0o644)
	}
	if err != nil {
		fmt.Println("there is nothing to digest:", err)
		os.Exit(3)
	}
}
`

// A secret is there for the command that asks for it, and nowhere else.
func TestBuildKitReadsSecrets(t *testing.T) {
	b := labBench(t)
	b.params["dir"] = t.TempDir()
	dir := b.params["dir"].(string)
	writeIn(t, dir, "main.go", digester)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", filepath.Join(dir, "digest"), filepath.Join(dir, "main.go"))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	writeIn(t, dir, "Dockerfile", strings.Join([]string{
		"FROM scratch",
		"COPY digest /",
		`RUN --mount=type=secret,id=token,required \`,
		`    ["/digest", "/run/secrets/token", "/out"]`,
		`CMD ["/digest"]`,
	}, "\n"))
	secret := strings.Repeat("hush, hush; ", 3000) // several frames of HTTP/2
	b.params["secret"] = secret
	got := b.run(`
		docker.build{context = P.dir, tag = "mepc/kit:secret", builder = "buildkit", secrets = {token = P.secret, other = "x"}}
		docker.create{name = "kit", image = "mepc/kit:secret"}
		local digest = docker.copy_from("kit", "/out").content
		docker.remove("kit", {force = true})
		docker.save("mepc/kit:secret", P.dir .. "/saved")
		docker.remove_image("mepc/kit:secret")
		return digest`)
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte(secret))); got != want {
		t.Errorf("the command read what has the digest %v, not %s", got, want)
	}
	saved, err := os.ReadFile(filepath.Join(dir, "saved"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(saved, []byte("hush, hush")) {
		t.Error("the secret is in the image")
	}
	b.fail(failure.Refused, `docker.build{context = P.dir, builder = "buildkit", no_cache = true, secrets = {other = "x"}}`, "token")
	b.fail(failure.Invalid, `docker.build{context = P.dir, builder = "classic", secrets = {token = "x"}}`, "secrets: ", `builder = "buildkit"`)
	writeIn(t, dir, "Dockerfile", "FROM scratch\nCOPY digest /\n\nRUN [\"/digest\", \"/none\", \\\n  \"/out\"]\n")
	e := b.fail(failure.Refused, `docker.build{context = P.dir, builder = "buildkit"}`, "exit code: 3")
	for _, want := range []string{"line 4: ", "there is nothing to digest: open /none: no such file or directory"} {
		if !strings.Contains(e.Details, want) {
			t.Errorf("%q is not in %q", want, e.Details)
		}
	}
}

// A rehearsal takes what BuildKit does as given.
func TestASimulatedEngineBuildsAsBuildKit(t *testing.T) {
	for _, tt := range []struct{ version, builder string }{{"20.10.24", "buildkit"}, {"28.3.0", "auto"}} {
		st, err := sim.New(sim.Options{State: &state.State{Format: state.Format, Engines: []state.Engine{{Version: tt.version, Images: []state.Image{{Ref: "mepc/app:1.0"}}}}}})
		if err != nil {
			t.Fatal(err)
		}
		b := benchAt(t, "")
		b.world = rehearsal.Clients(servers.Options{}, st, rehearsal.Policy{})
		b.params["dir"], b.params["builder"] = t.TempDir(), tt.builder
		writeIn(t, b.params["dir"].(string), "Dockerfile", "FROM mepc/app:1.0\nRUN --mount=type=secret,id=token make\nLABEL a=b\n")
		got := b.run(`
			local id = docker.build{context = P.dir, tag = "mepc/kit:1", builder = P.builder, secrets = {token = "x"}}.id
			return docker.image("mepc/kit:1").id == id and docker.image("mepc/kit:1").labels.a`)
		if got != "b" {
			t.Errorf("%s by %s: %v", tt.version, tt.builder, got)
		}
		b.fail(failure.Invalid, `docker.build{context = P.dir, builder = "classic", platform = "linux/arm64"}`, "platform: ")
		b.world.Close()
		st.Close()
	}
}
