package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/registry"
	"github.com/mepc/mepc-run/internal/ship"
)

const (
	// pushRoom is how much of what an engine pushes unasked is kept: the layers that
	// it never pushed before, among which may be those that are wanted.
	pushRoom = 64 << 20
	// pushReach is how long an engine may take to reach this process.
	pushReach = 10 * time.Second
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
	if slices.ContainsFunc(group, func(t *target) bool { return t.whole != "" }) {
		return false
	}
	if s.a.Via == "push" {
		return true
	}
	least := slices.MinFunc(group, func(a, b *target) int { return a.have - b.have }).have
	if least == 0 {
		return false
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
	r := registry.New()
	defer r.Close()
	manifest, config, err := s.collect(ctx, r, group)
	if err != nil {
		s.unpushed = err
		return false
	}
	sizes, err := s.layerSizes(ctx)
	if err != nil {
		s.unpushed = err
		return false
	}
	var sending sync.WaitGroup
	var bytes int64
	for _, t := range group {
		layers := make([]*ship.File, len(manifest.Layers))
		for i, d := range manifest.Layers {
			if size, kept := r.Size(d.Digest); kept && slices.Contains(s.lacks(t), s.src.RootFS.Layers[i]) {
				layers[i] = &ship.File{Size: size, WriteTo: func(w io.Writer) error { return r.Copy(w, d.Digest) }}
				t.layers++
				bytes += size
			} else {
				t.left += sizes[i]
			}
		}
		l := newLane(ctx, t, s.a.Patience)
		sending.Go(func() { l.end(nil, ship.Join(io.MultiWriter(l.in, s.sent), s.name, config, layers)) })
		sending.Go(func() {
			s.load(l)
			t.bytes += l.queue.Bytes()
		})
	}
	s.sent.expect(bytes)
	sending.Wait()
	return true
}

// lacks are the layers that a target has not.
func (s *shipment) lacks(t *target) []string { return s.src.RootFS.Layers[t.have:] }

// collect has the image pushed until the registry has all that the group lacks.
func (s *shipment) collect(ctx context.Context, r *registry.Registry, group []*target) (*registry.Manifest, []byte, error) {
	l, err := s.from.world.Listen(ctx)
	if err != nil {
		return nil, nil, err
	}
	server := &http.Server{Handler: r, ReadHeaderTimeout: pushReach, ErrorLog: log.New(io.Discard, "", 0)}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) }) // ends with Close
	defer serving.Wait()
	defer server.Close()

	name := l.Addr().String() + "/" + s.name
	if err := s.from.name(ctx, s.src.ID, name); err != nil {
		return nil, nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
		defer cancel()
		_ = s.from.untag(ctx, name) // a name that is left is taken over by the next shipment
	}()
	room, wanted := int64(pushRoom), []string{s.src.ID}
	for range pushes {
		r.Want(room, wanted...)
		if err := s.pushTo(ctx, r, name); err != nil {
			return nil, nil, err
		}
		m := r.Manifest(len(s.src.RootFS.Layers))
		if m == nil {
			return nil, nil, errors.New("what it pushed is not the image")
		}
		if wanted = s.missing(r, m, group); len(wanted) == 0 {
			var config bytes.Buffer
			err := r.Copy(&config, m.Config.Digest)
			return m, config.Bytes(), err
		}
		room = s.src.Size + pushRoom
	}
	return nil, nil, fmt.Errorf("it did not push %s", strings.Join(wanted, ", "))
}

// missing are the blobs that someone lacks and the registry has not.
func (s *shipment) missing(r *registry.Registry, m *registry.Manifest, group []*target) (digests []string) {
	if _, ok := r.Size(m.Config.Digest); !ok {
		digests = append(digests, m.Config.Digest)
	}
	for i, d := range m.Layers {
		lacking := func(t *target) bool { return slices.Contains(s.lacks(t), s.src.RootFS.Layers[i]) }
		if _, ok := r.Size(d.Digest); !ok && slices.ContainsFunc(group, lacking) {
			digests = append(digests, d.Digest)
		}
	}
	return digests
}

// pushTo pushes once. An engine that does not reach the registry is not waited for.
func (s *shipment) pushTo(ctx context.Context, r *registry.Registry, name string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		late, stop := context.WithTimeout(ctx, pushReach)
		defer stop()
		select {
		case <-r.Reached():
		case <-late.Done():
			cancel(errors.New("it does not reach this process"))
		}
	}()
	err := s.from.change(ctx, func(ctx context.Context, c *client.Client) error {
		body, err := c.ImagePush(ctx, name, image.PushOptions{RegistryAuth: noAuth})
		if err != nil {
			return err
		}
		defer body.Close()
		return follow(body, func(msg *message) {
			if msg.Status == "Pushing" {
				s.sent.text("the source compresses what it never pushed before")
			}
		})
	}, nil)
	if err != nil && context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	return err
}
