package router

// peer is a backend's place in one frontend: how often it is listed there, and
// where the round robin stands.
type peer struct {
	url     string
	weight  int
	current int
	backend *backend
}

// pickPeer returns home, if there is one, or else the next of peers that ok accepts,
// or nil, by smooth weighted round robin: everyone gains its weight, the richest is
// taken and pays the sum. Over as many picks as there are entries in the list each
// peer is taken exactly as often as it is listed, and heavy ones are spread out.
// Callers hold the table's lock.
func pickPeer(peers []*peer, home *peer, ok func(*peer) bool) *peer {
	best := home
	sum := 0
	for _, p := range peers {
		if !ok(p) {
			continue
		}
		p.current += p.weight
		sum += p.weight
		if home == nil && (best == nil || p.current > best.current) {
			best = p
		}
	}
	if best == nil {
		return nil
	}
	best.current -= sum
	if home != nil {
		for _, p := range peers { // those who stay must not send all who are new elsewhere for ever
			p.current = max(min(p.current, maxDebt*sum), -maxDebt*sum)
		}
	}
	return best
}

// maxDebt is the number of rounds of the list a peer may be ahead, or behind, through
// visitors who stay.
const maxDebt = 100
