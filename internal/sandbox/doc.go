// Package sandbox is Lua 5.1 (with goto) made safe to give to anyone: a
// compiler, an environment built from nothing, limits, and branches that run
// side by side. It knows nothing of what a host lets scripts do.
//
// Start with Compile and New, then VM.Run. A host adds functions with
// VM.SetGlobal and, inside them, uses the methods that take a *lua.LState:
// block around anything that waits, Raise and Throw for errors, Call for
// callbacks, Parallel for branches, Where for the script's position.
//
// # What holds
//
//   - A script reaches nothing but its environment (env.go) and cannot change
//     that for the host or for another file.
//   - It stops within its Limits, and when its context ends; no pcall, coroutine
//     or callback catches that. The step count is exact: the same script uses
//     the same number of steps every time.
//   - Only one branch runs Lua at a time, so scripts need no locks. Under a
//     clock.Virtual, runs are the same every time (sched.go).
//   - Errors carry the stack as frames, across pcall, coroutines and branches.
//
// # How it works around the VM
//
// gopher-lua v1.1.2 is the VM. What it gets wrong is repaired in the syntax
// tree before compilation (rewrite.go, rewrite_jump.go), by functions of our own
// in place of its libraries, and by running each protected call on a thread of
// its own (call.go, coroutine.go). stock_test.go shows each of its bugs, so that
// an update which repairs one is noticed. DIALECT.md lists what still differs
// from Lua 5.1; difftest_test.go and generate_test.go compare with the real one.
package sandbox
