package std_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/runtime"
)

// runFile runs source as the recipe dir/recipe.lua.
func runFile(t *testing.T, dir, source string, seed int64) (any, *failure.Error) {
	t.Helper()
	name := filepath.Join(dir, "recipe.lua")
	if err := os.WriteFile(name, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	host := runtime.New(runtime.Options{Modules: std.Modules(std.Options{})})
	recipe, err := host.LoadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	res, err := host.Run(t.Context(), recipe, runtime.RunOptions{Seed: seed, Clock: clock.NewVirtual(time.Unix(1e9, 0))})
	if err != nil {
		return nil, failure.As(err)
	}
	return res.Value, nil
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFilesBesideTheRecipeAreReadAndNothingElse(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(outside, "secret"), "not for you")
	write(t, filepath.Join(dir, "bytes"), "a\x00\xff\n")
	write(t, filepath.Join(dir, "sql/2.sql"), "two")
	write(t, filepath.Join(dir, "sql/old/1.sql"), "one")
	for link, to := range map[string]string{
		"out": filepath.Join(outside, "secret"), "up": "../" + filepath.Base(outside) + "/secret", "dirlink": outside, "in": "bytes",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for source, want := range map[string]string{
		`return fs.read("bytes")`:                                               "a\x00\xff\n",
		`return fs.read("in")`:                                                  "a\x00\xff\n",
		`return fs.read("sql/../bytes")`:                                        "a\x00\xff\n",
		`return table.concat(fs.glob("**/*.sql"), " ")`:                         "sql/2.sql sql/old/1.sql",
		`return table.concat(fs.glob("**/sql/**/**/*.sql"), " ")`:               "sql/2.sql sql/old/1.sql",
		`return table.concat(fs.glob("**/" .. ("**/x/"):rep(50) .. "*"), " ")`:  "",
		`return table.concat(fs.glob("sql/*.sql"), " ")`:                        "sql/2.sql",
		`return table.concat(fs.glob("dirlink/*"), " ")`:                        "",
		`return fs.hash("sql/2.sql") == sha256("two") and "same"`:               "same",
		`return fs.hash("sql") ~= fs.hash("sql/old") and #fs.hash("sql") .. ""`: "64",
	} {
		if got, err := runFile(t, dir, source, 1); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", source, got, err, want)
		}
	}
	for source, kind := range map[string]failure.Kind{
		`fs.read("out")`: failure.Denied, `fs.read("up")`: failure.Denied, `fs.read("dirlink/secret")`: failure.Denied, `fs.hash("dirlink")`: failure.Denied,
		`fs.read("../x")`: failure.Denied, `fs.read("/etc/passwd")`: failure.Denied, `fs.read("")`: failure.Invalid, `fs.read("a/../../x")`: failure.Denied,
		`fs.glob("../*")`: failure.Denied, `fs.glob("[")`: failure.Invalid, `fs.read("none")`: failure.NotFound, `fs.hash("none")`: failure.NotFound,
		`fs.read("sql")`: failure.Invalid, `fs.read("bytes", {max = 3})`: failure.Limit,
	} {
		got, err := runFile(t, dir, source, 1)
		if err == nil || err.Kind != kind {
			t.Errorf("%s: %v, %v; want %s", source, got, err, kind)
		}
		if err != nil && strings.Contains(err.Error()+err.Details, "not for you") {
			t.Errorf("%s shows what is outside", source)
		}
	}
}

func TestUUIDsAndJitterFollowFromTheSeed(t *testing.T) {
	const source = `
		local waits, last = {}, now()
		pcall(retry, function() waits[#waits + 1] = now() - last fail("no") end, {attempts = 4, delay = "1s", jitter = 1})
		return uuid() .. uuid() .. table.concat(waits, " ")`
	draw := func(seed int64) string {
		v, err := runFile(t, t.TempDir(), source, seed)
		if err != nil {
			t.Fatal(err)
		}
		return v.(string)
	}
	if a, b := draw(1), draw(1); a != b {
		t.Errorf("the same seed: %s, %s", a, b)
	}
	if a, b := draw(1), draw(2); a == b {
		t.Errorf("another seed draws the same: %s", a)
	}
	if id := draw(3); id[14] != '4' || !strings.ContainsRune("89ab", rune(id[19])) {
		t.Errorf("%s is no UUID of version 4", id)
	}
}

func TestTextFunctionsRefuseWhatTheyCannotRead(t *testing.T) {
	for source, text := range map[string]string{
		`template("${hots}", {host = "a"})`: `values: the text has ${hots}, which has no value; did you mean "host"?`,
		`template("${host", {host = "a"})`:  "text: ${ without }",
		`template("5 $ a", {})`:             "text: a $ that is neither",
		`base64.decode("a b")`:              "text: it is not base64",
		`semver.parse("one")`:               `version: "one" is not a version such as 1.4.2`,
		`semver.compare("1.0", "x")`:        `b: "x" is not a version`,
		`semver.satisfies("1.0", ">> 1")`:   `range: ">> 1" is not a range`,
		`semver.sort{"1.0", "latest"}`:      `versions: "latest" is not a version`,
	} {
		if _, err := runFile(t, t.TempDir(), source, 1); err == nil || err.Kind != failure.Invalid || !strings.HasPrefix(err.Message, text) {
			t.Errorf("%s: %v, want %s", source, err, text)
		}
	}
	got, err := runFile(t, t.TempDir(), `
		local all = {}
		for i = 0, 255 do all[#all + 1] = string.char(i) end
		local bytes = table.concat(all)
		return base64.decode(base64.encode(bytes)) == bytes and base64.decode(base64.encode(bytes, {url = true}), {url = true}) == bytes
			and template("$$${a}", {a = "$b"}) == "$$b" and semver.satisfies("1.4.0-rc.1", ">= 1.3") == false`, 1)
	if err != nil || got != true {
		t.Error(got, err)
	}
}
