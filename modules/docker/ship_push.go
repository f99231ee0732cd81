package docker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/ship"
)

const (
	// pushRoom is how much of what an engine pushes unasked is kept: the layers that
	// it never pushed before, among which may be those that are wanted.
	pushRoom = 32 << 20
	// pushShare is which part of an image is pushed rather than saved: to compress a
	// layer takes about as long as to save four times as much.
	pushShare = 4
	// pushes is how often the image is pushed at most: to learn its digests, and to
	// get what was dropped meanwhile.
	pushes = 2
)

// pushable reports whether the group gets its layers by a push. The source has to be
// on this machine, to reach this process, and the image has to keep a name when the
// one that it is pushed by is taken away.
func (s *shipment) pushable(ctx context.Context, group []*target) bool {
	if s.a.Via == "save" || s.name == "" || len(group) == 0 || !nearby(s.from.Endpoint()) || s.from.world.Rehearsed() {
		return false
	}
	// The manifest of an engine with a store of its own tells no sizes of what it does
	// not send.
	layout := s.src.Descriptor != nil
	if slices.ContainsFunc(group, func(t *target) bool { return t.whole != "" || t.layout && !layout }) {
		return false
	}
	if s.a.Via == "push" {
		return true
	}
	least := slices.MinFunc(group, func(a, b *target) int { return a.have - b.have }).have
	if least == 0 || s.src.Descriptor != nil { // what the containerd image store keeps is compressed
		return least > 0
	}
	sizes, err := s.layerSizes(ctx)
	return err == nil && pushShare*total(sizes[least:]) <= total(sizes)
}

func total(sizes []int64) (sum int64) {
	for _, n := range sizes {
		sum += n
	}
	return sum
}

// layerSizes returns what the layers take, lowest first, as the image's history
// tells. It does not tell a layer without files from a step that made none, so with
// such a layer those above it are told as one too low.
func (s *shipment) layerSizes(ctx context.Context) ([]int64, error) {
	if s.sizes != nil {
		return s.sizes, nil
	}
	err := s.from.read(ctx, func(ctx context.Context, c *client.Client) error {
		history, err := c.ImageHistory(ctx, s.src.ID)
		for _, h := range slices.Backward(history) {
			if h.Size > 0 {
				s.sizes = append(s.sizes, h.Size)
			}
		}
		return err
	})
	n := len(s.src.RootFS.Layers)
	s.sizes = append(s.sizes, make([]int64, max(0, n-len(s.sizes)))...)[:n]
	return s.sizes, err
}

// pushed has the source push the image to a registry in this process, and sends what
// it keeps of it to the group. False: it did not, and the image is to be saved.
func (s *shipment) pushed(ctx context.Context, group []*target) bool {
	if !s.pushable(ctx, group) {
		return false
	}
	sizes, err := s.layerSizes(ctx)
	if err == nil {
		err = s.from.gather(ctx, s.src, s.name, s.sent, func(g *gathering) error {
			p, err := s.collect(ctx, g, group)
			if err != nil {
				return err
			}
			return s.hand(ctx, g, group, p, sizes)
		})
	}
	s.unpushed = err
	return err == nil
}

// hand sends the group what was gathered, each target what it lacks.
func (s *shipment) hand(ctx context.Context, g *gathering, group []*target, p *ship.Pushed, sizes []int64) error {
	var config bytes.Buffer
	if err := g.Copy(&config, p.Config.Digest); err != nil {
		return err
	}
	sending, _ := failure.NewGroup(ctx, -1)
	var bytes int64
	for _, t := range group {
		layers, kept := make([]*ship.File, len(p.Layers)), map[string]*ship.File{}
		for i, d := range p.Layers {
			if f := g.file(d.Digest); f != nil && slices.Contains(s.lacks(t), s.src.RootFS.Layers[i]) {
				layers[i], kept[d.Digest] = f, f
				t.layers++
				bytes += f.Size
			} else {
				t.left += sizes[i]
			}
		}
		l := newLane(ctx, t, s.a.Patience)
		join := func(w io.Writer) error { return ship.Join(w, s.name, config.Bytes(), layers) }
		if t.layout {
			for _, d := range beside(p) {
				kept[d] = g.file(d)
			}
			join = func(w io.Writer) error { return ship.JoinLayout(w, s.name, p, kept) }
		}
		sending.Go(func() error {
			l.end(nil, failure.Protect(func() error { return join(io.MultiWriter(l.in, s.sent)) }))
			return nil
		})
		sending.Go(func() error {
			s.load(l)
			t.bytes += l.queue.Bytes()
			return nil
		})
	}
	s.sent.expect(bytes)
	return sending.Wait()
}

// beside are the blobs of an image that are not its layers, all of them small.
func beside(p *ship.Pushed) []string {
	digests := []string{p.Config.Digest}
	for _, m := range p.Attested {
		digests = append(digests, m.Config.Digest)
		for _, d := range m.Layers {
			digests = append(digests, d.Digest)
		}
	}
	return digests
}

// lacks are the layers that a target has not.
func (s *shipment) lacks(t *target) []string { return s.src.RootFS.Layers[t.have:] }

// collect has the image pushed until the registry has all that the group lacks, and
// returns what the image consists of.
func (s *shipment) collect(ctx context.Context, g *gathering, group []*target) (*ship.Pushed, error) {
	room, wanted := int64(pushRoom), []string{s.src.ID}
	for range pushes {
		g.Want(room, wanted...)
		p, err := g.push(ctx)
		if err != nil {
			return nil, err
		}
		if wanted = s.missing(g, p, group); len(wanted) == 0 {
			return p, nil
		}
		room = s.src.Size + pushRoom
	}
	return nil, fmt.Errorf("it did not push %s", strings.Join(wanted, ", "))
}

// missing are the blobs that someone lacks and the registry has not.
func (s *shipment) missing(g *gathering, p *ship.Pushed, group []*target) (digests []string) {
	for _, d := range beside(p) {
		if g.file(d) == nil {
			digests = append(digests, d)
		}
	}
	for i, d := range p.Layers {
		lacking := func(t *target) bool { return slices.Contains(s.lacks(t), s.src.RootFS.Layers[i]) }
		if g.file(d.Digest) == nil && slices.ContainsFunc(group, lacking) {
			digests = append(digests, d.Digest)
		}
	}
	return digests
}
