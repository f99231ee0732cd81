package sandbox

import (
	"context"
	"errors"
	"math/rand/v2"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/mepc/mepc-run/internal/clock"
	lua "github.com/yuin/gopher-lua"
)

// Options is what a VM needs of its host. The zero Options is usable.
type Options struct {
	Limits Limits
	// Clock is what os.time and Sleep go by; nil is clock.Wall. With a
	// *clock.Virtual everything is deterministic: see sched.go.
	Clock clock.Clock
	// Seed seeds math.random.
	Seed int64
	// Shuffle, when not zero and under a virtual clock, draws which of the
	// branches that can run goes next, and makes Block a point of switching.
	Shuffle int64
	// Cover counts what is executed; nil: nothing does.
	Cover *Cover
	// Print receives what print writes, a call at a time and without the final
	// newline. With nil it is dropped.
	Print func(line string)
}

// VM is the Lua of one run. Its methods that take a *lua.LState are for host
// functions and must be called with the state that the function was given;
// the others are for Go code outside, and wait for each other.
type VM struct {
	opts  Options
	lim   Limits
	clock clock.Clock
	rng   *rand.Rand
	sched scheduler
	meter meter
	heap  heapWatch
	// attention is set by other goroutines that have something to say: the next
	// step looks, however much of its slice is left.
	attention atomic.Bool

	// root owns the globals and runs no code: it has no context, so that
	// NewThread on it makes threads without one of their own.
	root                       *lua.LState
	env                        *lua.LTable // what compiled code sees as its globals
	stringMeta, stringMetaView *lua.LTable
	public                     *lua.LTable // the same without our internals: what _G shows
	free                       []*thread   // threads that ended well, ready for the next call

	stopErr error // a limit or a panic: the whole VM is over
	closed  bool

	branches  int                     // alive
	suspended map[*coroutine]struct{} // coroutines that hold a goroutine
	reapMu    sync.Mutex
	reap      []*coroutine // suspended, and no longer reachable from Lua
}

// ErrClosed is returned for a VM that was closed.
var ErrClosed = errors.New("the Lua VM is closed")

// maxArrayIndex ends the part of a table that is an array. The VM fills an
// array up to the index that is assigned, so t[67108863] = 1 would take a
// gigabyte in one instruction; with this it takes 16 MiB. What lies beyond is
// kept in the hash part, and # does not see it.
const maxArrayIndex = 1 << 20

// setMaxArrayIndex runs once a process: the limit is a variable of the VM's
// package, and writing it while another state runs would be a data race.
var setMaxArrayIndex = sync.OnceFunc(func() { lua.MaxArrayIndex = maxArrayIndex })

// New returns a VM with a fresh environment, built from nothing: see env.go
// for what is in it. It must be closed.
func New(opts Options) *VM {
	setMaxArrayIndex()
	lim := opts.Limits.WithDefaults()
	vm := &VM{
		opts:      opts,
		lim:       lim,
		clock:     opts.Clock,
		rng:       rand.New(rand.NewPCG(uint64(opts.Seed), 0x6d657063)),
		suspended: map[*coroutine]struct{}{},
	}
	if vm.clock == nil {
		vm.clock = clock.Wall{}
	}
	vm.meter.budget = lim.Steps
	vm.sched.init(vm.clock, opts.Shuffle)
	vm.root = lua.NewState(lua.Options{
		SkipOpenLibs: true, CallStackSize: 8, RegistrySize: 128,
		RegistryMaxSize: 1 << 18, RegistryGrowStep: 1024, MinimizeStackMemory: true,
	})
	vm.root.Options.CallStackSize = lim.CallDepth // of the threads
	vm.root.Options.RegistrySize = 64
	vm.root.G.MainThread = vm.root // no thread may take itself for it
	vm.root.G.CurrentThread = vm.root
	vm.openLibraries()
	return vm
}

// State returns a state for NewTable, NewFunction and NewUserData. It runs no
// code.
func (vm *VM) State() *lua.LState { return vm.root }

// SetGlobal defines a global, for scripts to read. A table should be given as
// Frozen returns it.
func (vm *VM) SetGlobal(name string, v lua.LValue) {
	vm.env.RawSetString(name, v)
	vm.public.RawSetString(name, v)
}

// Globals returns the names of all globals, sorted.
func (vm *VM) Globals() []string {
	var names []string
	for k, _ := vm.public.Next(lua.LNil); k != lua.LNil; k, _ = vm.public.Next(k) {
		names = append(names, k.String())
	}
	sort.Strings(names)
	return names
}

// Members returns the globals that scripts can use, each with the names of its
// members when it is a table.
func (vm *VM) Members() map[string][]string {
	all := map[string][]string{}
	for k, v := vm.public.Next(lua.LNil); k != lua.LNil; k, v = vm.public.Next(k) {
		var names []string
		if t, ok := v.(*lua.LTable); ok && k.String() != "_G" {
			t = readable(t)
			for m, _ := t.Next(lua.LNil); m != lua.LNil; m, _ = t.Next(m) {
				names = append(names, m.String())
			}
			sort.Strings(names)
		}
		all[k.String()] = names
	}
	return all
}

// Load returns the program's main function.
func (vm *VM) Load(p *Program) *lua.LFunction {
	if vm.opts.Cover != nil {
		vm.opts.Cover.load(p)
	}
	return vm.root.NewFunctionFromProto(p.proto)
}

// Run runs the program under ctx and returns what it returns.
func (vm *VM) Run(ctx context.Context, p *Program, args ...lua.LValue) (values []lua.LValue, err error) {
	err = vm.Do(ctx, func(L *lua.LState) (err error) {
		values, err = vm.Call(L, vm.Load(p), args...)
		return err
	})
	return values, err
}

// Do enters the VM from Go: it waits until nobody else runs in it and calls f
// with a state that Call, Parallel and the others accept. It returns f's error,
// or what f raised. It must not be called from inside the VM.
func (vm *VM) Do(ctx context.Context, f func(L *lua.LState) error) (err error) {
	t := vm.sched.newTask(ctx, nil)
	defer t.cancel(nil)
	vm.sched.acquire(t)
	defer vm.sched.release(t)
	if vm.closed {
		return ErrClosed
	}
	vm.heap.begin(vm)
	defer vm.heap.end()
	vm.meter.settle()
	quiet := context.AfterFunc(ctx, func() { vm.attention.Store(true) })
	defer quiet()
	ts := vm.newThread(nil, t)
	if err := vm.checkStop(ts); err != nil {
		return err
	}
	fnErr, err := ts.protect(func() error { return f(ts.L) })
	if err == nil {
		err = fnErr
	}
	if r, ok := err.(*RaisedError); ok {
		vm.fillMessage(ts, r)
	}
	vm.dropThread(ts, true)
	return err
}

// Grace is Do for what must happen after a run was stopped, such as deferred
// closures: f has a step allowance of its own, on top of what the run used, and
// what stopped the run before does not stop f. ctx is the grace period.
func (vm *VM) Grace(ctx context.Context, steps int64, f func(L *lua.LState) error) error {
	hold := vm.sched.newTask(ctx, nil)
	defer hold.cancel(nil)
	vm.sched.acquire(hold)
	vm.meter.settle()
	budget, began, stop := vm.meter.budget, vm.meter.began, vm.stopErr
	vm.meter.budget, vm.meter.began = vm.meter.used+steps, vm.meter.used
	vm.stopErr = nil
	vm.heap.forgive()
	vm.sched.release(hold)
	defer func() {
		vm.sched.acquire(hold)
		vm.meter.settle()
		vm.meter.budget, vm.meter.began = budget, began
		vm.stopErr = stop
		vm.sched.release(hold)
	}()
	return vm.Do(ctx, f)
}

// Steps returns how many steps were used so far. It must not be called while
// the VM runs, except from a host function.
func (vm *VM) Steps() int64 { return vm.meter.total() }

// Close ends the VM: it unwinds suspended coroutines and frees what they hold.
func (vm *VM) Close() {
	t := vm.sched.newTask(context.Background(), nil)
	defer t.cancel(nil)
	vm.sched.acquire(t)
	defer vm.sched.release(t)
	if vm.closed {
		return
	}
	vm.closed = true
	for co := range vm.suspended {
		co.kill()
	}
	vm.free = nil
	vm.root.Close()
}
