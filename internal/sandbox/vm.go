package sandbox

import (
	"context"
	"errors"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mepc/mepc-run/internal/clock"
	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// Options holds what a VM needs of its host. The zero Options is usable.
type Options struct {
	Limits Limits
	// Clock drives os.time and Sleep; nil is clock.Wall. With a
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
	// Absent returns what to use in place of a global that other Luas have; nil, or
	// "": the closest name is suggested.
	Absent func(name string) string
}

// VM is the Lua of one run. Lua runs only inside an Entry: see there. The VM's own
// methods are for Go code outside, and wait for each other.
type VM struct {
	opts  Options
	lim   Limits
	clock clock.Clock
	life  atomic.Pointer[life]

	// root owns the globals and runs no code: it has no context, so that
	// NewThread on it makes threads without one of their own.
	root                       *lua.LState
	env                        *lua.LTable // what compiled code sees as its globals
	stringMeta, stringMetaView *lua.LTable

	vendored *lua.LTable // the globals of vendored files; nil: none was loaded
	prompt   *lua.LTable // the globals of a prompt; nil: there was none
	public   *lua.LTable // the same without our internals: what _G shows

	closed bool
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
		opts:  opts,
		lim:   lim,
		clock: opts.Clock,
	}
	if vm.clock == nil {
		vm.clock = clock.Wall{}
	}
	vm.life.Store(vm.newLife())
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

// Library returns the global of that name if it is a table, such as string or a
// host's module, or nil.
func (vm *VM) Library(name string) *lua.LTable {
	t, _ := vm.public.RawGetString(name).(*lua.LTable)
	return t
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
	fn := vm.root.NewFunctionFromProto(p.proto)
	if p.Vendored {
		fn.Env = vm.vendoredEnv()
	}
	return fn
}

// Run runs the program under ctx and returns what it returns.
func (vm *VM) Run(ctx context.Context, p *Program, args ...lua.LValue) (values []lua.LValue, err error) {
	err = vm.Do(ctx, func(e Entry) (err error) {
		values, err = e.Call(vm.Load(p), args...)
		return err
	})
	return values, err
}

// Do enters the VM from Go: it waits until nobody else runs in it and calls f
// with an Entry. It returns f's error, or what f raised. It must not be called
// from inside the VM.
func (vm *VM) Do(ctx context.Context, f func(e Entry) error) (err error) {
	l := vm.life.Load()
	t := l.newTask(ctx, nil)
	defer t.cancel(nil)
	l.sched.acquire(t)
	defer l.sched.release(t)
	if vm.closed {
		return ErrClosed
	}
	l.heap.begin(l, vm.lim.HeapBytes)
	defer l.heap.end()
	l.meter.settle()
	quiet := context.AfterFunc(ctx, func() { l.attention.Store(true) })
	defer quiet()
	ts := vm.newThread(nil, t)
	if err := vm.checkStop(ts); err != nil {
		return err
	}
	fnErr, err := ts.protect(func() error { return f(Entry{vm, ts.L}) })
	if err == nil {
		err = fnErr
	}
	if r, ok := err.(*RaisedError); ok {
		err = vm.fillMessage(ts, r)
	}
	vm.dropThread(ts, true)
	return err
}

// Grace is Do for what must happen after a run was stopped, such as deferred
// closures: f has a step allowance of its own, on top of what the run used, and
// what stopped the run before does not stop f. ctx is the grace period.
func (vm *VM) Grace(ctx context.Context, steps int64, f func(e Entry) error) error {
	l := vm.life.Load()
	hold := l.newTask(ctx, nil)
	defer hold.cancel(nil)
	l.sched.acquire(hold)
	restore := l.allow(steps)
	l.heap.forgive()
	l.sched.release(hold)
	defer func() {
		l.sched.acquire(hold)
		restore()
		l.sched.release(hold)
	}()
	return vm.Do(ctx, f)
}

// Steps returns how many steps were used so far. It must not be called while
// the VM runs, except from a host function.
func (vm *VM) Steps() int64 { return vm.life.Load().meter.total() }

// Close ends the VM: it unwinds suspended coroutines and frees what they hold.
func (vm *VM) Close() {
	l := vm.life.Load()
	t := l.newTask(context.Background(), nil)
	defer t.cancel(nil)
	l.sched.acquire(t)
	defer l.sched.release(t)
	if vm.closed {
		return
	}
	vm.closed = true
	l.heap.stop()
	for co := range l.suspended {
		l.kill(co)
	}
	l.free = nil
	vm.root.Close()
}

// IsName reports whether s can name a variable in Lua.
func IsName(s string) bool {
	if s == "" || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return false
	}
	_, err := parse.Parse(strings.NewReader("local "+s+" = 1"), "")
	return err == nil // else it begins with a digit, or is a word of the language
}
