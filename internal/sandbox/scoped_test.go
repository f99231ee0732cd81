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
	vm.SetGlobal("within", vm.NewFunction(func(e Entry) int {
		ctx, cancel := context.WithCancelCause(e.Context())
		cancel(cause)
		_, err := e.CallContext(ctx, e.Arg(1))
		e.Push(lua.LBool(errors.Is(err, cause)))
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
