package sandbox

import (
	"reflect"
	"sort"
	"strings"
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// The VM keeps its call frames to itself; lua.Debug holds one. They are read
// here by reflection, which needs only the names of the fields. A test fails
// when an update of the VM renames one.

type frameLayout struct{ debugFrame, fn, parent, pc, idx, tailCall int }

var layout = func() frameLayout {
	debug := reflect.TypeFor[lua.Debug]()
	field := func(t reflect.Type, name string) int {
		f, ok := t.FieldByName(name)
		if !ok {
			panic("sandbox: gopher-lua has no field " + t.String() + "." + name)
		}
		return f.Index[0]
	}
	l := frameLayout{debugFrame: field(debug, "frame")}
	frame := debug.Field(l.debugFrame).Type.Elem()
	l.fn, l.parent, l.pc = field(frame, "Fn"), field(frame, "Parent"), field(frame, "Pc")
	l.idx, l.tailCall = field(frame, "Idx"), field(frame, "TailCall")
	return l
}()

// callFrame is one frame of one thread. The zero callFrame is none.
type callFrame struct{ v reflect.Value }

// offsets locate the VM's fields that are read before each instruction.
var offsets = struct{ frame, fn, pc uintptr }{
	offsetOf(reflect.TypeFor[lua.LState](), "currentFrame"),
	offsetOf(reflect.TypeFor[lua.Debug]().Field(layout.debugFrame).Type.Elem(), "Fn"),
	offsetOf(reflect.TypeFor[lua.Debug]().Field(layout.debugFrame).Type.Elem(), "Pc"),
}

func offsetOf(t reflect.Type, name string) uintptr {
	f, ok := t.FieldByName(name)
	if !ok {
		panic("sandbox: gopher-lua has no field " + t.String() + "." + name)
	}
	return f.Offset
}

// executing returns the code that L runs and the index of its instruction; -1: it
// runs no Lua.
func executing(L *lua.LState) (code []uint32, pc int) {
	frame := *(*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(L), offsets.frame))
	if frame == nil {
		return nil, -1
	}
	fn := *(**lua.LFunction)(unsafe.Add(frame, offsets.fn))
	if fn == nil || fn.IsG || fn.Proto == nil {
		return nil, -1
	}
	return fn.Proto.Code, *(*int)(unsafe.Add(frame, offsets.pc)) - 1
}

// topFrame returns the innermost frame of L: inside a host function, that
// function's own.
func topFrame(L *lua.LState) callFrame {
	dbg, ok := L.GetStack(0)
	if !ok {
		return callFrame{}
	}
	return callFrame{reflect.ValueOf(dbg).Elem().Field(layout.debugFrame)}.elem()
}

func (f callFrame) elem() callFrame {
	if f.v.IsNil() {
		return callFrame{}
	}
	return callFrame{f.v.Elem()}
}

func (f callFrame) ok() bool { return f.v.IsValid() }

func (f callFrame) fn() *lua.LFunction {
	return (*lua.LFunction)(f.v.Field(layout.fn).UnsafePointer())
}

func (f callFrame) parent() callFrame { return callFrame{f.v.Field(layout.parent)}.elem() }

// pc is the index of the instruction that is being executed.
func (f callFrame) pc() int { return int(f.v.Field(layout.pc).Int()) - 1 }

// index is the frame's depth in its thread, from 0.
func (f callFrame) index() int { return int(f.v.Field(layout.idx).Int()) }

// tailCalls returns the number of frames this one has replaced.
func (f callFrame) tailCalls() int { return int(f.v.Field(layout.tailCall).Int()) }

// isLua reports whether the frame is of a Lua function that has begun.
func (f callFrame) isLua() bool {
	fn := f.fn()
	return fn != nil && !fn.IsG && fn.Proto != nil
}

func (f callFrame) line() int {
	p := f.fn().Proto
	if pc := f.pc(); pc >= 0 && pc < len(p.DbgSourcePositions) {
		return p.DbgSourcePositions[pc]
	}
	return p.LineDefined
}

// position returns the frame as a Frame, without the function's name.
func (f callFrame) position() Frame {
	return Frame{File: f.fn().Proto.SourceName, Line: f.line()}
}

// calledName returns how the frame's caller wrote the function: kind as in
// error messages ("global", "method") and name, both "" where there is none.
func (f callFrame) calledName() (kind, name string) {
	p := f.parent()
	if !p.ok() || !p.isLua() || (f.isLua() && f.tailCalls() > 0) {
		return "", ""
	}
	proto, pc := p.fn().Proto, p.pc()
	if pc < 0 || pc >= len(proto.Code) {
		return "", ""
	}
	switch i := instruction(proto.Code[pc]); i.op() {
	case lua.OP_CALL, lua.OP_TAILCALL:
		return describeRegister(proto, i.a(), pc)
	}
	return "", ""
}

// shortName is calledName's name from the compiler's notes, which is cheaper.
func (f callFrame) shortName() string {
	p := f.parent()
	if !p.ok() || !p.isLua() || f.tailCalls() > 0 {
		return ""
	}
	calls, pc := p.fn().Proto.DbgCalls, p.pc()
	i := sort.Search(len(calls), func(i int) bool { return calls[i].Pc >= pc })
	if i == len(calls) || calls[i].Pc != pc || calls[i].Name == "?" || strings.HasPrefix(calls[i].Name, "(") || calls[i].Name[0] == 0 {
		return ""
	}
	return calls[i].Name
}

// maxFrames bounds what a raised error carries: the innermost and the
// outermost half of a deeper stack.
const maxFrames = 64

// frames collects the Lua frames of L and of every thread that waits for it.
func (vm *VM) frames(L *lua.LState) (out []Frame, branch []int) {
	branchBelow := 0
	for ts := threadOf(L); ts != nil; ts = ts.parent {
		for f := topFrame(ts.L); f.ok(); f = f.parent() {
			if !f.isLua() {
				continue
			}
			pos := f.position()
			pos.Func = f.shortName()
			pos.Branch, branchBelow = branchBelow, 0
			if len(out) == maxFrames {
				copy(out[maxFrames/2:], out[maxFrames/2+1:])
				out = out[:maxFrames-1]
			}
			out = append(out, pos)
		}
		if ts.parent != nil && ts.parent.task != ts.task {
			branchBelow = ts.task.branch
			branch = append(branch, ts.task.branch)
		}
	}
	for i, j := 0, len(branch)-1; i < j; i, j = i+1, j-1 {
		branch[i], branch[j] = branch[j], branch[i]
	}
	return out, branch
}

// stack returns the Lua stack, innermost first, across pcall, coroutines and
// branches. A very deep stack is shortened in its middle.
func (vm *VM) stack(L *lua.LState) []Frame {
	out, _ := vm.frames(L)
	return out
}

// where is Entry.Where.
func (vm *VM) where(L *lua.LState, level int) Frame {
	for ts := threadOf(L); ts != nil; ts = ts.parent {
		for f := topFrame(ts.L); f.ok(); f = f.parent() {
			if !f.isLua() {
				continue
			}
			if level == 0 {
				return f.position()
			}
			level--
		}
	}
	return Frame{}
}

// levelPosition returns "file:line: " for the function at a level as error()
// counts them: 0 is the running host function, 1 its caller. It is "" when that
// is no Lua function, or one that a tail call has replaced.
func levelPosition(L *lua.LState, level int) string {
	for ts := threadOf(L); ts != nil; ts = ts.parent {
		for f := topFrame(ts.L); f.ok(); f = f.parent() {
			if level == 0 {
				if f.isLua() {
					return f.position().String() + ": "
				}
				return ""
			}
			level--
			if f.isLua() {
				if n := f.tailCalls(); level < n {
					return ""
				} else {
					level -= n
				}
			}
		}
		if ts.co != nil && (ts.parent == nil || ts.parent.co != ts.co) || ts.parent != nil && ts.parent.task != ts.task {
			return "" // a coroutine's or branch's stack ends here
		}
	}
	return ""
}
