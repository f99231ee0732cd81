package docker_test

import (
	"context"
	"testing"

	"github.com/mepc/mepc-run/modules/docker"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

func TestEveryFunctionIsDocumented(t *testing.T) {
	m := docker.New(docker.Allow{})
	host := runtime.New(runtime.Options{Modules: []runtime.Module{m}})
	seen := map[string]bool{}
	for _, f := range m.Funcs {
		if seen[f.Name] {
			t.Errorf("%s is there twice", f.Name)
		}
		seen[f.Name] = true
		if f.Doc == "" || f.From == "" || f.Returns == "" || len(f.Raises) == 0 || f.Example == "" {
			t.Errorf("%s lacks Doc, From, Returns, Raises or Example", f.Name)
		}
		documented(t, f.Name, f.Fields())
		_, fields := f.Result()
		documented(t, f.Name+"'s result", fields)
		if _, err := host.LoadString(f.Name, f.Example); err != nil {
			t.Errorf("%s: its example does not compile: %v", f.Name, err)
		}
	}
	if len(m.Types) != 1 || len(m.Types[0].Funcs)+1 != len(m.Funcs) {
		t.Error("an engine has other methods than the module has functions")
	}
}

func documented(t *testing.T, where string, fields []runtime.Field) {
	t.Helper()
	for _, f := range fields {
		if f.Doc == "" {
			t.Errorf("%s: %s has no doc", where, f.Name)
		}
		documented(t, where+"."+f.Name, f.Fields)
	}
}

func TestAnEngineThatIsNotThereIsSaidToTheRecipe(t *testing.T) {
	b := benchAt(t, "unix:///nonexistent/docker.sock")
	for _, source := range []string{
		`docker.ping()`, `docker.list{}`, `docker.create{name = "app", image = "x"}`, `docker.connect():ping()`, `docker.load("/etc/hostname")`,
	} {
		b.fail("unavailable", source, "no engine at unix:///nonexistent/docker.sock", "systemctl start docker")
		if got := b.events.ends()[0]; got.Result.Outcome != "refused" || got.Op.Endpoint != "unix:///nonexistent/docker.sock" {
			t.Errorf("%s: outcome %s at %s", source, got.Result.Outcome, got.Op.Endpoint)
		}
	}
	b.fail("invalid_argument", `docker.connect("10.0.0.5:2376")`, "it has no scheme")
	b.fail("denied", `docker.connect("tcp://10.0.0.5:2375")`, "--insecure-docker")
	b.fail("invalid_argument", `docker.create{nam = "app"}`, `unknown option "nam"; did you mean "name"`)
	b.fail("invalid_argument", `docker.crate{}`, `docker has no function "crate"`)
}

func TestTheEngineSaysWhatItIs(t *testing.T) {
	b := labBench(t)
	got := b.run(`
		local v, i, p = docker.version(), docker.info(), docker.ping()
		return {v = #v.version > 0, api = v.api_version == p.api_version, os = p.os, store = i.store, cpus = i.cpus > 0, memory = i.memory > 2^20,
			version = i.version == v.version}`).(map[string]any)
	for _, k := range []string{"v", "api", "cpus", "memory", "version"} {
		if got[k] != true {
			t.Errorf("%s: %v", k, got)
		}
	}
	if got["os"] != "linux" || got["store"] == "" {
		t.Error(got)
	}
}

func TestASecretInTheEnvironmentIsNotShown(t *testing.T) {
	l := labBench(t)
	l.name("app")
	w := servers.Live(l.opts)
	defer w.Close()
	secret := runtime.Module{Name: "vault", Doc: "x", Self: runtime.None{}, Funcs: []runtime.Func{{
		Name: "get", Doc: "x", From: "x", Returns: "x", Example: "x",
		Call: runtime.Inline(func(_ runtime.None, c *runtime.Call, _ *runtime.None) (runtime.Secret, error) {
			return c.Secret("hunter2-and-more"), nil
		}),
	}}}
	host := runtime.New(runtime.Options{Modules: []runtime.Module{docker.New(docker.Allow{}), secret}})
	recipe, err := host.LoadString("test.lua", `
		local s = vault.get()
		docker.create{name = "`+l.params["app"].(string)+`", image = "mepc/app:1.0", env = {PASSWORD = s}}
		return docker.inspect("`+l.params["app"].(string)+`").env.PASSWORD == "hunter2-and-more"`)
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{}
	res, err := host.Run(context.Background(), recipe, runtime.RunOptions{World: w, Sinks: []runtime.Sink{rec}})
	if err != nil {
		t.Fatal(err)
	}
	if res.Value != true {
		t.Error("the container got something else")
	}
	for _, arg := range rec.ends()[0].Op.Args {
		if arg.Name == "env" && arg.Value != "PASSWORD=[secret]" {
			t.Errorf("shown: %s", arg.Value)
		}
	}
}
