package app_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/mepc/mepc-run/internal/app"
	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
)

// leaks lists what a recipe can do with a secret that it has read back, raw, from the
// environment of a container that it gave it to.
var leaks = []string{
	`log("it is " .. raw, {value = raw})`,
	`print(raw, base64.encode(raw), json.encode({raw}))`,
	`step("with " .. raw, function() r:set("a", raw) end)`,
	`r:set(raw, base64.encode(raw))`,
	`pcall(function() r:lpush("string", raw) end)`,
	`log(base64.encode("user:" .. raw))`,
	`log(base64.encode("u:" .. raw .. "@example"))`,
	`log(string.format("%q", raw))`,
	`pcall(docker.create, {name = "x" .. raw, image = "app:1"})`,
	`docker.create{name = "other", image = "app:1", labels = {told = raw}}; docker.remove("other")`,
	`pcall(docker.inspect, raw)`,
	`pcall(http.get, "http://127.0.0.1:1/?token=" .. raw, {headers = {Authorization = "Bearer " .. raw}})`,
	`defer("forget " .. raw, function() fail("not " .. raw) end)`,
	`defer("say", function() return raw end, {always = true})`,
	`pcall(fail, {kind = "conflict", message = raw, hint = raw, state = raw})`,
	`pcall(http.post, "http://127.0.0.1:1/" .. raw, {form = {a = raw}})`,
	`pcall(docker.tag, "app:1", "app:" .. raw)`,
	`log("partly", {json = json.encode({nested = {deep = raw .. raw}})})`,
}

// ends lists the ways such a recipe ends.
var ends = []string{`return raw`, `return {[raw] = raw}`, `fail(raw)`, `error(raw)`, `error({raw})`, `fail{kind = "conflict", message = "m", hint = raw, state = raw}`, `http.post("http://127.0.0.1:1/" .. raw, {})`, `docker.stop(raw)`, `r:lpush("string", raw)`, `local _ = nil .. raw`}

// Secrets are nowhere: not in what is printed, in the journal or in the plan, raw or
// in another form. CANARIES is how many runs look for them; 40 without.
func TestCanarySecretsAppearNowhere(t *testing.T) {
	t.Parallel()
	world, err := sim.New(sim.Options{Clock: clock.Wall{}, State: &state.State{
		Format: state.Format, Engines: []state.Engine{{Images: []state.Image{{Ref: "app:1"}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer world.Close()
	engine := httptest.NewServer(world.Engine(""))
	defer engine.Close()
	store := miniredis.RunT(t)
	runs, err := strconv.Atoi(os.Getenv("CANARIES"))
	if err != nil {
		runs = 40
	}
	var all, failed int
	for seed := range runs {
		rnd := rand.New(rand.NewPCG(uint64(seed), 7))
		secret := canary(rnd)
		dir := t.TempDir()
		recipe := []string{
			`local s = secret("password")`,
			`docker.create{name = "box", image = "app:1", env = {PASSWORD = s}}`,
			`local raw = assert(docker.inspect("box").env.PASSWORD)`,
			`docker.remove("box")`,
			`local r = redis.connect()`,
			`r:set("string", "s")`,
		}
		for _, i := range rnd.Perm(len(leaks))[:5] {
			recipe = append(recipe, leaks[i])
		}
		recipe = append(recipe, ends[rnd.IntN(len(ends))], "")
		file := filepath.Join(dir, "leak.lua")
		write(t, file, strings.Join(recipe, "\n"))
		var out bytes.Buffer
		main := func(args ...string) int {
			env := app.Env{Stdout: &out, Stderr: &out, Getenv: func(name string) string {
				return map[string]string{"SECRET": secret, "MEPC_STATE": filepath.Join(dir, "state"), "HOME": dir}[name]
			}}
			return app.Main(env, append(args, "--docker", "tcp://"+engine.Listener.Addr().String(), "--redis", "redis://"+store.Addr(),
				"--secret", "password=env:SECRET", file))
		}
		flags := []string{"-v"}
		if rnd.IntN(2) == 0 {
			flags = []string{"--json"}
		}
		if main(flags...) != 0 {
			failed++
		}
		main("-n", "--out", filepath.Join(dir, "plan.json"), "-v")
		for _, key := range store.Keys() {
			store.Del(key)
		}
		seen := map[string]string{"what was printed": out.String()}
		if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || path == file {
				return err
			}
			b, err := os.ReadFile(path)
			seen[d.Name()] = string(b)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		for where, text := range seen {
			all += len(text)
			for _, form := range formsOf(secret) {
				if strings.Contains(text, form) {
					t.Fatalf("run %d: the secret %q is in %s, as %s:\n%s\nof\n%s", seed, secret, where, form, text, strings.Join(recipe, "\n"))
				}
			}
		}
		if len(seen) < 3 {
			t.Fatalf("run %d left no journal and no plan: %v\n%s", seed, seen, out.String())
		}
	}
	t.Logf("%d runs, %d of which failed, %d KB looked at", runs, failed, all>>10)
}

// canary makes up a secret, of the bytes that escapes are made for, too.
func canary(rnd *rand.Rand) string {
	const plain, odd = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", ` !"#$%&'()*+,/:;<=>?@[\]^{|}~` + "\tü€"
	var b strings.Builder
	for range 8 + rnd.IntN(24) {
		from := []rune(plain)
		if rnd.IntN(4) == 0 {
			from = []rune(odd)
		}
		b.WriteRune(from[rnd.IntN(len(from))])
	}
	return b.String()
}

// formsOf returns what is looked for: the forms, and those of the part that is left
// when the secret stands within a longer text that is in base64.
func formsOf(secret string) []string {
	forms := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), strconv.Quote(secret), fmt.Sprintf("%x", secret)}
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(secret)
	escaped, _ := json.Marshal(secret)
	for _, quoted := range []string{plain.String(), string(escaped), forms[3]} {
		quoted = strings.TrimSpace(quoted)
		forms = append(forms, quoted[1:len(quoted)-1])
	}
	for skip := range 3 {
		whole := secret[skip : len(secret)-(len(secret)-skip)%3]
		forms = append(forms, base64.StdEncoding.EncodeToString([]byte(whole)), base64.URLEncoding.EncodeToString([]byte(whole)))
	}
	return forms
}
