package sandbox

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// What Go does for Lua is accounted here, by the Entry that it has: its work in
// steps, in proportion to bytes; its memory before it is made, against the limit;
// its texts by a Builder, which refuses to become longer than a string may be.

// Charge counts n steps of work done in Go on the script's behalf. When the
// budget is used up it does not return.
func (e Entry) Charge(n int) { e.vm.charge(threadOf(e.state()), n) }

// ChargeBytes counts the work of going over n bytes.
func (e Entry) ChargeBytes(n int) { e.vm.chargeBytes(threadOf(e.state()), n) }

// TakeIn counts n bytes that are about to be made for Lua, and the work of it. When
// the script would hold more than it may, it does not return.
func (e Entry) TakeIn(n int) {
	e.vm.chargeBytes(threadOf(e.state()), n)
	e.vm.takeIn(threadOf(e.l), n)
}

// HandOver counts n bytes that Go has made already, such as an answer of a server,
// and that Lua gets.
func (e Entry) HandOver(n int) {
	threadOf(e.l).life.heap.handOver(uint64(n))
	e.vm.chargeBytes(threadOf(e.state()), n)
	e.vm.takeIn(threadOf(e.l), n)
}

// Room checks that a string of n bytes may be made. When it may not, it does not
// return.
func (e Entry) Room(n int) { e.vm.checkLength(e.state(), n) }

// Builder returns an empty text.
func (e Entry) Builder() *Builder { return &Builder{vm: e.vm, ts: threadOf(e.state())} }

func (vm *VM) builder(L *lua.LState) *Builder { return &Builder{vm: vm, ts: threadOf(L)} }

// Builder makes a string for Lua. It does not become longer than a string may be:
// its methods do not return then. It implements io.Writer.
type Builder struct {
	vm  *VM
	ts  *thread
	b   strings.Builder
	due int // bytes that are not charged yet
}

// account looks whether n bytes more may be written.
func (b *Builder) account(n int) {
	if b.due += n; b.due < 4<<10 && b.b.Len()+n <= b.vm.lim.StringBytes {
		return
	}
	due := b.due
	b.due = 0
	if n := b.b.Len() + n; n > b.vm.lim.StringBytes {
		b.vm.stop(b.ts, &LimitError{Limit: limitString, Max: int64(b.vm.lim.StringBytes)})
	}
	b.vm.chargeBytes(b.ts, due)
	b.vm.takeIn(b.ts, due)
}

// WriteString adds s.
func (b *Builder) WriteString(s string) (int, error) {
	b.account(len(s))
	return b.b.WriteString(s)
}

// WriteByte adds c.
func (b *Builder) WriteByte(c byte) error {
	b.account(1)
	return b.b.WriteByte(c)
}

// Write adds p.
func (b *Builder) Write(p []byte) (int, error) {
	b.account(len(p))
	return b.b.Write(p)
}

// Len returns how long the text is.
func (b *Builder) Len() int { return b.b.Len() }

// String returns the text.
func (b *Builder) String() string {
	if b.due >= 64 {
		b.vm.chargeBytes(b.ts, b.due)
		b.due = 0
	}
	return b.b.String()
}

// longString is the length from which comparing a string, or looking it up, is
// charged beyond the step that the instruction costs.
const longString = 4 << 10

// takeIn counts n bytes that the script gets.
func (vm *VM) takeIn(ts *thread, n int) {
	l := ts.life
	if n >= longString {
		l.long = true
	}
	if l.taken += n; l.taken >= lookEvery {
		n = l.taken
		l.taken = 0
		if l.heap.tooMuch(uint64(n)) {
			vm.overHeap(ts)
		}
	}
}

// lookEvery is the number of bytes between two looks at the heap.
const lookEvery = 1 << 20

// overHeap stops the VM for the memory that it holds.
func (vm *VM) overHeap(ts *thread) {
	ts.life.heap.over.Store(true)
	if err := vm.checkStop(ts); err != nil {
		panic(&thrown{err})
	}
}

// weigh charges the instruction that ts is about to execute for the long strings
// that it compares or looks up. It is called once there are any.
func (ts *thread) weigh() {
	code, pc := executing(ts.L)
	if pc < 0 || pc >= len(code) {
		return
	}
	n := 0
	switch i := instruction(code[pc]); i.op() {
	case lua.OP_EQ, lua.OP_LT, lua.OP_LE:
		n = min(ts.length(i.b()), ts.length(i.c()))
	case lua.OP_GETTABLE:
		n = ts.length(i.c())
	case lua.OP_SETTABLE:
		n = ts.length(i.b())
	}
	if n >= longString {
		ts.vm.chargeBytes(ts, n)
	}
}

// length returns how long the string is that an operand stands for; 0: it is none.
func (ts *thread) length(operand int) int {
	if operand&constantBit != 0 {
		return 0 // no longer than the source
	}
	s, _ := ts.L.Get(operand + 1).(lua.LString)
	return len(s)
}
