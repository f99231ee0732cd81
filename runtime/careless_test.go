package runtime_test

import (
	"math"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// careless is a module whose functions never think of the budget.
type careless struct{ ticks int }

type carelessArgs struct {
	Text  string              `lua:"text" doc:"a text"`
	Key   runtime.Secret      `lua:"key" doc:"a secret"`
	List  []string            `lua:"list" doc:"a list"`
	Ports []int               `lua:"ports" doc:"a list"`
	Map   map[string]string   `lua:"map" doc:"a table"`
	Plain runtime.Value       `lua:"plain" doc:"a plain value"`
	Raw   lua.LValue          `lua:"raw" doc:"a Lua value"`
	Table *lua.LTable         `lua:"table" doc:"a Lua table"`
	Raws  []lua.LValue        `lua:"raws" doc:"Lua values"`
	More  map[string][]string `lua:"more" doc:"a table of lists"`
	Sub   *struct {
		Path string `lua:"path" doc:"a path"`
	} `lua:"sub" doc:"a table with fields"`
}

type gives struct {
	What  string     `lua:"what,pos" doc:"what to give"`
	Value lua.LValue `lua:"value,pos,asis" doc:"a value, passed on"`
}

func (*careless) give(_ *runtime.Call, a *gives) (any, error) {
	switch a.What {
	case "text":
		return big, nil
	case "bytes":
		return []byte(big), nil
	case "raw":
		return lua.LString(big), nil
	case "list":
		return make([]int, len(big)/64), nil
	case "map":
		return map[string]int{big: 1}, nil
	case "many":
		return runtime.Results{lua.LString(big), big}, nil
	case "long text":
		return strings.Repeat(big, 64), nil
	case "long raw":
		return lua.LString(strings.Repeat(big, 64)), nil
	case "huge":
		list := make([]string, 200)
		for i := range list {
			list[i] = big
		}
		return list, nil
	}
	return a.Value, nil
}

var big = strings.Repeat("x", 1<<19)

func (m *careless) module() runtime.Module {
	return runtime.Module{
		Name: "careless", Doc: "Functions that forget to charge.",
		Self: m,
		Funcs: []runtime.Func{
			{Name: "take", Doc: "Takes anything.", Call: runtime.Inline(func(*careless, *runtime.Call, *carelessArgs) (runtime.None, error) {
				return runtime.None{}, nil
			})},
			{Name: "tick", Doc: "Counts.", Call: runtime.Inline(func(m *careless, _ *runtime.Call, _ *runtime.None) (runtime.None, error) {
				m.ticks++
				return runtime.None{}, nil
			})},
			{Name: "give", Doc: "Gives anything.", Call: runtime.Inline((*careless).give)},
		},
	}
}

// TestACarelessInlineFunctionDoesNotWorkForFree gives functions that charge nothing a
// megabyte at a time, or as many parts as make the decoder work. A loop over them meets
// the budget as often as the size of that demands.
func TestACarelessInlineFunctionDoesNotWorkForFree(t *testing.T) {
	t.Parallel()
	const steps = 1_000_000
	const most = steps / 4096 // calls: what a part costs at least
	const parts = `local t, m, d = {}, {}, {} for i = 1, 2^13 do t[i] = "a" m["k" .. i] = "a" d[i] = i end
		local x = ("x"):rep(2^19) local holes = {[1] = 1} for i = 2, 2^13 do holes[i] = i end holes[2^20] = 1
		local deep = {t, {t, {t, {[x] = t}}}} `
	for _, call := range []string{
		`take{text = x}`, `take{key = x}`, `take{list = t}`, `take{ports = d}`, `take{map = m}`, `take{plain = t}`, `take{plain = {[x] = 1}}`,
		`take{raw = x}`, `take{raw = t}`, `take{table = m}`, `take{raw = deep}`, `take{raws = t}`, `take{raws = {x}}`, `take{more = {a = t}}`,
		`take{map = {[x] = "a"}}`, `take{list = holes}`, `take{plain = holes}`, `take(m)`, `take{sub = m}`,
		`give("text")`, `give("bytes")`, `give("raw")`, `give("list")`, `give("map")`, `give("many")`,
	} {
		m := &careless{}
		_, err := m.run(t, parts+`while true do careless.tick() pcall(function() careless.`+call+` end) end`, runtime.Limits{Steps: steps})
		if f := failure.As(err); f == nil || !strings.Contains(f.Message, "steps is used up") || m.ticks == 0 || m.ticks > most {
			t.Errorf("%s: %d calls, %v", call, m.ticks, err)
		}
	}
}

func (m *careless) run(t *testing.T, src string, limits runtime.Limits) (*runtime.Result, error) {
	t.Helper()
	limits.HeapBytes = math.MaxUint64
	host := runtime.New(runtime.Options{Limits: limits, Modules: []runtime.Module{m.module()}})
	recipe, err := host.LoadString("t.lua", src)
	if err != nil {
		t.Fatal(err)
	}
	return host.Run(t.Context(), recipe, runtime.RunOptions{})
}

func TestTheResultOfAnInlineFunctionHasABound(t *testing.T) {
	t.Parallel()
	for call, want := range map[string]string{
		`give("long text")`: "a string would be longer than 16 MiB",
		`give("long raw")`:  "a string would be longer than 16 MiB",
		`give("huge")`:      "larger than the 64 MiB",
	} {
		if _, err := new(careless).run(t, "careless."+call, runtime.Limits{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", call, err)
		}
	}
	// What is only passed on costs nothing, and may be cyclic.
	res, err := new(careless).run(t, `local t = {} t.t = t return careless.give("it", t) == t`, runtime.Limits{})
	if err != nil || res.Value != true {
		t.Errorf("%v, %v", res.Value, err)
	}
	if _, err := new(careless).run(t, `local t = {} t.t = t careless.take{raw = t}`, runtime.Limits{}); err == nil || !strings.Contains(err.Error(), "inside itself") {
		t.Error(err)
	}
}
