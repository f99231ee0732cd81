package sandbox

import lua "github.com/yuin/gopher-lua"

// Names of values for error messages, found as C Lua finds them: by looking at
// what the bytecode did to the register.

type instruction uint32

func (i instruction) op() int { return int(i >> 26) }
func (i instruction) a() int  { return int(i>>18) & 0xff }
func (i instruction) b() int  { return int(i & 0x1ff) }
func (i instruction) c() int  { return int(i>>9) & 0x1ff }
func (i instruction) bx() int { return int(i & 0x3ffff) }

// jump is the signed operand of a jump.
func (i instruction) jump() int { return i.bx() - 0x1ffff }

// constantBit marks an operand that is a constant's index, not a register.
const constantBit = 1 << 8

// repairLocals sets the end of each local variable's scope, which the compiler
// gets wrong as soon as two blocks follow each other, from what the rewriter
// saw. fn is the function that p was compiled from.
func repairLocals(p *lua.FunctionProto, fn *function) {
	if len(p.DbgLocals) == len(fn.locals) {
		for i, l := range p.DbgLocals {
			end := len(p.Code)
			for j := i + 1; j < len(fn.locals); j++ {
				if fn.locals[j].register <= fn.locals[i].register {
					end = min(end, max(p.DbgLocals[j].StartPc, l.StartPc))
					break
				}
			}
			if last := fn.locals[i].last; last > 0 {
				for pc := l.StartPc; pc < end; pc++ {
					if p.DbgSourcePositions[pc] > last {
						end = pc
					}
				}
			}
			l.EndPc = end
		}
	}
	if len(p.FunctionPrototypes) == len(fn.children) {
		for i, c := range p.FunctionPrototypes {
			repairLocals(c, fn.children[i])
		}
	}
}

// localName returns the local variable that lives in a register at pc, or "".
func localName(p *lua.FunctionProto, register, pc int) string {
	for _, l := range p.DbgLocals {
		if l.StartPc > pc {
			break
		}
		if pc < l.EndPc {
			if register == 0 {
				if l.Name != "" && l.Name[0] == '(' {
					return ""
				}
				return l.Name
			}
			register--
		}
	}
	return ""
}

// describeRegister returns the kind and the name of what a register holds just
// before pc: "local", "global", "field", "method" or "upvalue", or "".
func describeRegister(p *lua.FunctionProto, register, pc int) (kind, name string) {
	for range 8 { // follow moves, not for ever
		if n := localName(p, register, pc); n != "" {
			return "local", n
		}
		setter := lastSetter(p, register, pc)
		if setter < 0 {
			return "", ""
		}
		switch i := instruction(p.Code[setter]); i.op() {
		case lua.OP_MOVE, lua.OP_MOVEN:
			from, ok := movedFrom(p, setter, register)
			if !ok || from >= register {
				return "", ""
			}
			register, pc = from, setter
			continue
		case lua.OP_GETGLOBAL:
			if s, ok := constantString(p, i.bx()); ok && s[0] != 0 {
				return "global", s
			}
		case lua.OP_GETUPVAL:
			if b := i.b(); b < len(p.DbgUpvalues) {
				return "upvalue", p.DbgUpvalues[b]
			}
		case lua.OP_GETTABLE, lua.OP_GETTABLEKS:
			if s, ok := operandString(p, i.c()); ok {
				return "field", s
			}
			return "field", "?"
		case lua.OP_SELF:
			if s, ok := operandString(p, i.c()); ok && register == i.a() {
				return "method", s
			}
		}
		return "", ""
	}
	return "", ""
}

// describeOperand is describeRegister for an operand that may be a constant.
func describeOperand(p *lua.FunctionProto, operand, pc int) (kind, name string) {
	if operand&constantBit != 0 {
		return "", ""
	}
	return describeRegister(p, operand, pc)
}

func operandString(p *lua.FunctionProto, operand int) (string, bool) {
	if operand&constantBit == 0 {
		return "", false
	}
	return constantString(p, operand&^constantBit)
}

func constantString(p *lua.FunctionProto, index int) (string, bool) {
	if index >= len(p.Constants) {
		return "", false
	}
	s, ok := p.Constants[index].(lua.LString)
	return string(s), ok && s != ""
}

// lastSetter returns the last instruction before pc that sets the register on
// the straight path to pc, or -1. A value that may come by another path, such
// as that of (a and b), has none.
func lastSetter(p *lua.FunctionProto, register, pc int) int {
	last := -1
	for at := 0; at < pc; at++ {
		i := instruction(p.Code[at])
		if i.op() == lua.OP_JMP {
			to := at + 1 + i.jump()
			if to <= at || to > pc {
				continue
			}
			for k := at + 1; k < to; k += 1 + trailing(p, k) {
				if sets(p, k, register) {
					last = -1
				}
			}
			at = to - 1 // the skipped code is not on the path
			continue
		}
		if sets(p, at, register) {
			last = at
		}
		at += trailing(p, at)
	}
	return last
}

// trailing returns the number of words after the instruction at that belong to it.
func trailing(p *lua.FunctionProto, at int) int {
	switch i := instruction(p.Code[at]); i.op() {
	case lua.OP_MOVEN:
		return i.c()
	case lua.OP_CLOSURE:
		if n := i.bx(); n < len(p.FunctionPrototypes) {
			return int(p.FunctionPrototypes[n].NumUpvalues)
		}
	}
	return 0
}

// sets reports whether the instruction at sets the register.
func sets(p *lua.FunctionProto, at, register int) bool {
	i := instruction(p.Code[at])
	a := i.a()
	switch i.op() {
	case lua.OP_SETGLOBAL, lua.OP_SETUPVAL, lua.OP_SETTABLE, lua.OP_SETTABLEKS, lua.OP_EQ, lua.OP_LT, lua.OP_LE,
		lua.OP_TEST, lua.OP_RETURN, lua.OP_SETLIST, lua.OP_CLOSE, lua.OP_NOP, lua.OP_JMP:
		return false
	case lua.OP_LOADNIL:
		return register >= a && register <= i.b()
	case lua.OP_MOVEN:
		_, ok := movedFrom(p, at, register)
		return ok
	case lua.OP_SELF:
		return register == a || register == a+1
	case lua.OP_CALL, lua.OP_TAILCALL, lua.OP_VARARG:
		return register >= a
	case lua.OP_TFORLOOP:
		return register >= a+2
	case lua.OP_FORLOOP, lua.OP_FORPREP:
		return register == a || register == a+3
	}
	return register == a
}

// movedFrom returns the source register of the move at pc that sets register.
// A MOVEN is a run of moves: itself and the c instructions after it.
func movedFrom(p *lua.FunctionProto, pc, register int) (from int, ok bool) {
	first := instruction(p.Code[pc])
	n := 0
	if first.op() == lua.OP_MOVEN {
		n = first.c()
	}
	for k := 0; k <= n && pc+k < len(p.Code); k++ {
		if i := instruction(p.Code[pc+k]); i.a() == register {
			from, ok = i.b()&0xff, true
		}
	}
	return from, ok
}
