package runtime_test

import (
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// TestWhatGoDoesForLuaIsAccounted gives Go code much to do with little Lua. Each
// ends at a limit that names it, or is nothing to speak of.
func TestWhatGoDoesForLuaIsAccounted(t *testing.T) {
	t.Parallel()
	const shared = `local t = {1} for i = 1, 40 do t = {t, t} end `
	for src, want := range map[string]string{
		shared + `json.encode(t)`:                                                 "is used up",
		shared + `probe.call("a", {payload = t})`:                                 "is used up",
		shared + `log("x", {t = t})`:                                              "is used up",
		`local s = ("x"):rep(2^20) json.encode(("\0"):rep(4*2^20))`:               "a string would be longer than 16 MiB",
		`json.decode("[" .. ("1,"):rep(2^20) .. "1]")`:                            "is used up",
		`template(("${a}"):rep(200), {a = ("x"):rep(16*2^20)})`:                   "a string would be longer than 16 MiB",
		`local x = _G[("a"):rep(15e6)]`:                                           "is not defined",
		`local x = probe[("a"):rep(15e6)]`:                                        "has no function",
		`local x = json.encode(1, {[("a"):rep(15e6)] = 1})`:                       "unknown option",
		`os.date(("%c"):rep(8*2^20))`:                                             "a string would be longer than 16 MiB",
		`local s = ("x"):rep(16*2^20) while true do sha256(s) end`:                "steps is used up",
		`local a, b = ("x"):rep(16*2^20), ("x"):rep(16*2^20) while a == b do end`: "steps is used up",
		`local a, b = ("x"):rep(16*2^20), ("x"):rep(16*2^20) while a <= b do end`: "steps is used up",
		`local a, t = ("x"):rep(16*2^20), {} while not t[a] do end`:               "steps is used up",
		`local a = ("1"):rep(16*2^20) while true do local b = a + 1 end`:          "steps is used up",
		`semver.parse(("1"):rep(16*2^20))`:                                        "at most 256 characters",
	} {
		_, _, err := run(t, src, runtime.RunOptions{})
		e := failure.As(err)
		if e == nil || !strings.Contains(e.Message, want) || len(e.Message) > 2000 {
			t.Errorf("%s: %.300v, want %s", src, err, want)
			continue
		}
		if !strings.Contains(e.Where, ":1") {
			t.Errorf("%s: where %q", src, e.Where)
		}
	}
	host := runtime.New(runtime.Options{Modules: stdModules()})
	for src, want := range map[string]string{`return t`: "", `json.encode(t)`: "larger than the 64 MiB"} {
		recipe, err := host.LoadString("t.lua", shared+src)
		if err != nil {
			t.Fatal(err)
		}
		res, err := host.Run(t.Context(), recipe, runtime.RunOptions{})
		text, _ := res.Value.(string)
		if err != nil {
			text = err.Error()
		}
		if err == nil != (want == "") || !strings.Contains(text, "larger than the 64 MiB") {
			t.Errorf("%s: %v, %v", src, res.Value, err)
		}
	}
}
