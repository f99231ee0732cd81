package sandbox

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestTablesOfManyFieldsHaveWhatLuaPutsThere has tables with every kind of field around
// the numbers of values at which the compiler puts them into the table.
func TestTablesOfManyFieldsHaveWhatLuaPutsThere(t *testing.T) {
	if testing.Short() {
		t.Skip("runs lua5.1")
	}
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(all ...string) string { return all[r.IntN(len(all))] }
	var names, scripts []string
	for i := range 200 {
		var fields []string
		plain := []int{0, 1, 2, 48, 49, 50, 51, 98, 99, 100, 101, 150}[r.IntN(12)]
		value := func() string {
			return pick("7", `"s"`, "f(1)", "f(1, 2, 3)", "f()", "(f(1, 2))", "...", "(...)", "{f(1, 2)}", "nil", "x.k", "x:m(1)")
		}
		for n := 0; n < plain; {
			if r.IntN(30) == 0 {
				fields = append(fields, pick("k = ", "[f(4)] = ", "[-1] = ", `["a b"] = `)+value())
				continue
			}
			fields, n = append(fields, pick("3", value())), n+1
		}
		for range r.IntN(4) {
			fields = append(fields, pick("k = ", "[f(5)] = ", "", "")+value())
		}
		names = append(names, fmt.Sprintf("table %d", i))
		scripts = append(scripts, `local x = {k = "xk", m = function(_, a) return "m", a end}
local function f(...) return ... end
local function show(t) local s = {} for i = -2, 200 do local v = t[i] if v ~= nil then s[#s + 1] = i .. "=" .. (type(v) == "table" and "t" .. #v or tostring(v)) end end
  print(table.concat(s, " "), t.k, t["a b"]) end
local function g(...) show({`+strings.Join(fields, ", ")+`}) end
g() g("one") g("one", "two")`)
	}
	agree(t, names, scripts, func(o outcome) outcome { return o.withoutLines() })
}
