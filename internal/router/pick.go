package router

// peer is a backend's place in one frontend: how often it is listed there, and
// where the round robin stands.
type peer struct {
	url     string
	weight  int
	current int
	backend *backend
}

// pickPeer returns the next of peers that ok accepts, or nil, by smooth weighted
// round robin: everyone gains its weight, the richest is taken and pays the sum.
// Over as many picks as there are entries in the list each peer is taken exactly
// as often as it is listed, and heavy ones are spread out. Callers hold the
// table's lock.
func pickPeer(peers []*peer, ok func(*peer) bool) *peer {
	var best *peer
	sum := 0
	for _, p := range peers {
		if !ok(p) {
			continue
		}
		p.current += p.weight
		sum += p.weight
		if best == nil || p.current > best.current {
			best = p
		}
	}
	if best != nil {
		best.current -= sum
	}
	return best
}
