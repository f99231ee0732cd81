package prove

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"time"
)

// A run is a function of its inputs: the parameters, the seed, and the answers to
// its calls. Two runs that were told the same up to a call make the same call; and in
// the same world, the same fault there leads to the same. So a plan whose last fault
// strikes where that has been tried already, in another plan, is known from that. The
// first fault of a plan may have been without consequence, or be over: nobody noticed
// where exactly a container died.
//
// What a run was told is its history. What else may come out differently, and is
// therefore part of the moment:
//
//   - the world, exactly as it is, and what has been made in it: IDs follow from that;
//   - what the observer has seen and excuses;
//   - how many processes there were: seeds follow from that;
//   - after how many commands Redis was cut off or changed by others, since a
//     connection knows that before the run does.

// moment is all that the rest of a trial depends on.
type moment [sha256.Size]byte

// history holds the answers a process has got so far.
type history struct {
	sum   [sha256.Size]byte
	redis int // commands
	cuts  []int
}

// heard adds to the history.
func (h *history) heard(parts ...any) {
	d := sha256.New()
	d.Write(h.sum[:])
	write(d, parts...)
	d.Sum(h.sum[:0])
}

func write(d hash.Hash, parts ...any) {
	for _, p := range parts {
		switch v := p.(type) {
		case string:
			var n [8]byte
			binary.BigEndian.PutUint64(n[:], uint64(len(v)))
			d.Write(n[:])
			io.WriteString(d, v)
		case []byte:
			d.Write(v)
		case time.Time:
			binary.Write(d, binary.BigEndian, v.UnixNano())
		default:
			if err := json.NewEncoder(d).Encode(v); err != nil {
				panic(fmt.Sprintf("prove: %s", err)) // plain data
			}
		}
	}
}

// moment returns the present one, as p would go on from it, which was at before in
// the same call.
func (t *trial) moment(p *process, before moment) moment {
	if len(t.paused) > 0 {
		return moment{} // what they go on with is not known
	}
	d := sha256.New()
	d.Write(before[:])
	d.Write(p.history.sum[:])
	write(d, p.run, p.history.cuts, t.started, t.rivals, t.inCharge, t.now())
	var m moment
	d.Sum(m[:0])
	return m
}

// now returns the sum of the world as it is and of what the observer knows of it.
func (t *trial) now() []byte {
	at := t.world.Clock().Now()
	if t.sum != nil && t.summed.Equal(at) {
		return t.sum
	}
	d := sha256.New()
	write(d, t.state(), t.version(), at)
	o := t.obs
	write(d, o.seen, o.meant, o.names, o.astray, o.brought, slices.Sorted(maps.Keys(o.told)))
	t.sum, t.summed = d.Sum(nil), at
	return t.sum
}
