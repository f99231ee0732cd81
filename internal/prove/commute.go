package prove

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// A fault of the world that happens just before a read, and does not change what
// the read is answered, might as well happen after it: the recipe knows the same,
// the world is the same, and so is all that follows. So plans that differ in
// nothing but the place of such a fault are one trial, as far as it can be shown.
// It can when, from the earlier place to the later one,
//
//   - the run makes nothing but plain reads, see plain;
//   - each is answered byte for byte as in the run without the fault;
//   - no time passes.
//
// A restart of Redis is left out: it ends connections, too, and the next command
// is what finds that out.

// trace holds what commutes needs to know about a run.
type trace struct {
	replies []reply
	points  []point
	after   point // when the run's last fault of the world was over

	meanwhile bool // it called while the fault happened, such as to keep its lock
}

// reply is the answer to a call.
type reply struct {
	place Place
	verb  string
	plain bool
	sum   [sha256.Size]byte

	changed bool // the world is another since
}

// point is a place where a fault of the world can strike: after a number of calls.
type point struct {
	place Place
	calls int
	at    time.Time
}

func (t *trace) point(at Place) (point, bool) {
	for _, p := range t.points {
		if p.place == at {
			return p, true
		}
	}
	return point{}, false
}

// within corrects where the fault at a place was over, when the call there was
// counted before the fault struck.
func (t *trace) within(at Place, call, calls int) {
	switch {
	case t.after.place != at:
	case calls == call+1:
		t.after.calls = call
	default:
		t.after = point{} // others called meanwhile: what came when is not known
	}
}

// commutes reports whether a fault of the world leads to the same, whether it
// strikes at from or at to. Without it a run leaves the trace calm, with it at
// from it has left struck.
func commutes(calm, struck *trace, from, to Place) bool {
	a, ok := calm.point(from)
	b, also := calm.point(to)
	c, still := struck.point(to)
	if struck.meanwhile && (to.Part > 1 || strings.Contains(to.Op, " ")) {
		return false // there the call itself is counted before those
	}
	if !ok || !also || !still || b.calls < a.calls || !a.at.Equal(b.at) {
		return false
	}
	between := b.calls - a.calls
	if c.calls != struck.after.calls+between || !c.at.Equal(struck.after.at) {
		return false
	}
	for i := range between {
		was, is := calm.replies[a.calls+i], struck.replies[struck.after.calls+i]
		if !was.plain || was != is {
			return false
		}
	}
	return true
}

// movable reports whether the fault may commute with a read.
func (f Fault) movable() bool {
	return f.Kind.ofWorld() && f.Kind != RedisRestart && f.Kind != Overlaps && f.Place.Op != "end"
}

// plainReads are the commands of Redis that say what there is and do nothing else,
// not even to their connection.
var plainReads = map[string]bool{
	"get": true, "mget": true, "exists": true, "type": true, "strlen": true, "lrange": true, "lindex": true, "llen": true,
	"smembers": true, "sismember": true, "scard": true, "hget": true, "hgetall": true, "hmget": true,
}

// redisReply returns the answers to cmds.
func redisReply(cmds []redis.Cmder) reply {
	h := sha256.New()
	for _, cmd := range cmds {
		write(h, cmd.String())
	}
	a := reply{plain: len(cmds) == 1 && plainReads[cmds[0].Name()]}
	h.Sum(a.sum[:0])
	return a
}

// httpReply returns the answer to a request. A stream is left alone: it goes on after the call.
func httpReply(resp *http.Response) reply {
	if resp.ContentLength < 0 {
		return reply{}
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(fmt.Sprintf("prove: %s", err)) // it was in memory
	}
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	h := sha256.New()
	h.Write([]byte(strconv.Itoa(resp.StatusCode) + " " + resp.Request.URL.RawQuery + "\n"))
	h.Write(body)
	a := reply{plain: resp.Request.Method == http.MethodGet || resp.Request.Method == http.MethodHead}
	h.Sum(a.sum[:0])
	return a
}

// attempt is a plan to try.
type attempt struct {
	plan  Plan
	of    *tried // the plan without the last fault
	rerun bool   // the last fault is of a later run than the faults before
	at    moment // when the last fault strikes

	outcome **tried
}

// rows puts those attempts together, in their order, whose last faults may commute: they
// differ in nothing but the fault's place.
func rows(all []attempt) [][]attempt {
	type same struct {
		of   *tried
		run  int
		kind Kind
		what string
	}
	var out [][]attempt
	at := map[same]int{}
	for _, a := range all {
		f := a.plan[len(a.plan)-1]
		k := same{a.of, f.Place.Run, f.Kind, f.What}
		i, ok := at[k]
		if !ok || a.rerun || !f.movable() {
			i = len(out)
			out = append(out, nil)
			at[k] = i
		}
		out[i] = append(out[i], a)
	}
	return out
}

// standsFor returns what comes of plan, when that is known because t was tried:
// the last fault of t commutes with all that lies between. It returns nil when that
// is not known.
func (t *tried) standsFor(a attempt) *tried {
	if t == nil || t.missed || len(t.violations) > 0 || a.of.trace == nil {
		return nil
	}
	from, to := t.plan[len(t.plan)-1].Place, a.plan[len(a.plan)-1].Place
	if !commutes(a.of.trace, t.trace, from, to) {
		return nil
	}
	at := slices.IndexFunc(t.tail, func(c Call) bool { return c.Place == to })
	if at < 0 {
		return nil
	}
	return &tried{plan: a.plan, key: t.key, tail: t.tail[at+1:], next: t.next, trace: t.trace}
}
