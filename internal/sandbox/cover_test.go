package sandbox

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCoverCountsLinesAndCallsOfWhatRan(t *testing.T) {
	src := `local t = {n = 0}
function t:up(by)
  if by > 2 then
    self.n = self.n + by
  else
    self.n = math.max(self.n, by)
  end
end
-- a comment
for i = 1, 3 do
  t:up(1) t.s = ("x"):rep(1000)
end
if t.n > 10 then
  t:up(
    20)
  string.format("%d", t.n)
end
local ok = pcall(function() t:up("x") end)
local co = coroutine.wrap(function() t:up(1) end)
co()
`
	p, err := Compile("cover.lua", []byte(src), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	cover := &Cover{}
	vm := New(Options{Cover: cover})
	defer vm.Close()
	if _, err := vm.Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	plain := New(Options{})
	defer plain.Close()
	if _, err := plain.Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if vm.Steps() != plain.Steps() {
		t.Errorf("%d steps, %d without counting", vm.Steps(), plain.Steps())
	}
	got := cover.Programs()[0]
	var ran, not []int
	for line := 1; line <= 20; line++ {
		switch n, ok := got.Lines[line]; {
		case ok && n > 0:
			ran = append(ran, line)
		case ok:
			not = append(not, line)
		}
	}
	if d := cmp.Diff([]int{1, 2, 3, 6, 10, 11, 13, 18, 19, 20}, ran); d != "" {
		t.Error("lines that ran", d)
	}
	if d := cmp.Diff([]int{4, 14, 15, 16}, not); d != "" {
		t.Error("lines that did not", d)
	}
	calls := map[string]int{}
	for _, c := range got.Calls {
		calls[c.Global+":"+c.Name] += c.Count
	}
	if d := cmp.Diff(map[string]int{":up": 5, ":rep": 3, "math:max": 4, "string:format": 0, "coroutine:wrap": 1}, calls); d != "" {
		t.Error(d)
	}
}
