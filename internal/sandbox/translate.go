package sandbox

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// translate puts an error of the VM's own into Lua's words, with the name of
// the variable that was at fault. f is the Lua frame whose instruction failed.
func translate(L *lua.LState, f callFrame, message string) string {
	where := f.position().String() + ":"
	text, ok := strings.CutPrefix(message, where+" ")
	if !ok {
		return message
	}
	p, pc := f.fn().Proto, f.pc()
	i := instruction(p.Code[pc])
	return where + " " + reword(L, p, pc, i, text)
}

func reword(L *lua.LState, p *lua.FunctionProto, pc int, i instruction, text string) string {
	name := func(operand int) string { return quoteName(describeOperand(p, operand, pc)) }
	switch text {
	case "attempt to call a non-function object":
		if i.op() == lua.OP_TFORLOOP {
			return attempt("call", "", registerType(L, i.a()))
		}
		return attempt("call", name(i.a()), registerType(L, i.a()))
	case "__len undefined":
		return attempt("get length of", name(i.b()), registerType(L, i.b()))
	case "__unm undefined":
		return attempt("perform arithmetic on", name(i.b()), registerType(L, i.b()))
	case "for statement init must be a number":
		return "'for' initial value must be a number"
	case "for statement limit must be a number":
		return "'for' limit must be a number"
	case "for statement step must be a number":
		return "'for' step must be a number"
	case "registry overflow", "stack overflow":
		return "stack overflow"
	case "too many recursions in gettable":
		return "loop in gettable"
	case "too many recursions in settable":
		return "loop in settable"
	}
	if rest, ok := strings.CutPrefix(text, "attempt to index a non-table object("); ok {
		typ, _, _ := strings.Cut(rest, ")")
		operand := i.b()
		if op := i.op(); op == lua.OP_SETTABLE || op == lua.OP_SETTABLEKS {
			operand = i.a()
		}
		return attempt("index", name(operand), typ)
	}
	if rest, ok := strings.CutPrefix(text, "cannot perform "); ok {
		_, rest, _ := strings.Cut(rest, " operation between ")
		left, right, _ := strings.Cut(rest, " and ")
		if left != "number" {
			return attempt("perform arithmetic on", name(i.b()), left)
		}
		return attempt("perform arithmetic on", name(i.c()), right)
	}
	if rest, ok := strings.CutPrefix(text, "attempt to compare "); ok {
		left, right, _ := strings.Cut(rest, " with ")
		if left == right {
			return "attempt to compare two " + left + " values"
		}
		return "attempt to compare " + left + " with " + right
	}
	return text
}

// registerType is the type of the value in a register of L's innermost frame.
func registerType(L *lua.LState, register int) string {
	dbg, ok := L.GetStack(0)
	if !ok {
		return "nil"
	}
	_, v := L.GetLocal(dbg, register+1)
	if v == nil {
		return "nil"
	}
	return v.Type().String()
}
