package journal

import "hash/maphash"

// looks knows which calls that only looked have a line: one that was answered as
// the last time, wherever the recipe made it, needs no other.
type looks struct {
	seed   maphash.Seed
	last   map[uint64]uint64 // the answer, by the call
	folded map[string]int    // how many have no line, by function
}

// looksMost bounds what is remembered. Beyond it, calls get a line again.
const looksMost = 1 << 16

func newLooks() looks {
	return looks{seed: maphash.MakeSeed(), last: map[uint64]uint64{}, folded: map[string]int{}}
}

// known reports whether the last line of r's call says what r says, and counts r
// then.
func (l *looks) known(r *Record) bool {
	call := []string{r.Op.Name, r.Op.Target, r.Op.Endpoint}
	for _, a := range r.Op.Args {
		call = append(call, a.Name, a.Value)
	}
	answer := []string{string(r.Result.Outcome), r.Result.Summary}
	if e := r.Result.Error; e != nil {
		answer = append(answer, string(e.Kind), e.Message)
	}
	key, value := l.hash(call), l.hash(answer)
	if was, ok := l.last[key]; ok && was == value {
		l.folded[r.Op.Name]++
		return true
	}
	if len(l.last) >= looksMost {
		clear(l.last)
	}
	l.last[key] = value
	return false
}

func (l *looks) hash(texts []string) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	for _, s := range texts {
		_, _ = h.WriteString(s) // never fails
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}
