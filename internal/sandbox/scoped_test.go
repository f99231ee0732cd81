package sandbox

import (
	"context"
	"errors"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// A timeout around a callback stops the callback, whatever it catches, and
// leaves the rest of the script as it was.
func TestCallContextCanBeRepeated(t *testing.T) {
	vm := newVM(t, Options{Limits: Limits{Depth: 20}})
	cause := errors.New("timed out")
	vm.SetGlobal("within", vm.State().NewFunction(func(L *lua.LState) int {
		ctx, cancel := context.WithCancelCause(vm.Context(L))
		cancel(cause)
		_, err := vm.CallContext(L, ctx, L.Get(1))
		L.Push(lua.LBool(errors.Is(err, cause)))
		return 1
	}))
	values, err := run(t, vm, `
local n = 0
for i = 1, 100 do
  if within(function() pcall(function() pcall(function() while true do end end) end) end) then n = n + 1 end
end
return n`)
	if err != nil || values[0] != lua.LNumber(100) {
		t.Errorf("%v, %v", values, err)
	}
}
