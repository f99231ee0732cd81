package docker

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
	units "github.com/docker/go-units"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/ship"
)

// lane is the way to one target: what is written to in is packed, queued, and read
// by the request that loads it.
type lane struct {
	to     *target
	ctx    context.Context
	cancel context.CancelCauseFunc
	in     io.Writer
	packer io.WriteCloser // nil: nothing is packed
	queue  *ship.Queue
}

func newLane(ctx context.Context, t *target, patience time.Duration) *lane {
	l := &lane{to: t, queue: ship.NewQueue(patience)}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	l.in = l.queue
	return l
}

// pack has the lane compress what is sent.
func (l *lane) pack(compress string, now func() time.Time) {
	switch {
	case compress == "gzip":
		l.packer = ship.NewGzip(l.queue)
	case compress == "zstd":
		l.packer = ship.NewZstd(l.queue)
	case compress == "auto" && !nearby(l.to.Endpoint()):
		l.packer = ship.NewAutoGzip(l.queue, now)
	default:
		return
	}
	l.in = l.packer
}

// nearby reports whether an engine is on this machine.
func nearby(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "unix" || u.Scheme == "npipe" || u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// end closes the lane, after the source or the lane itself has failed, or neither.
func (l *lane) end(source, own error) {
	if l.packer != nil && source == nil && own == nil {
		own = l.packer.Close()
	}
	switch {
	case source != nil:
		l.queue.CloseWithError(source)
		l.cancel(source)
	case errors.Is(own, ship.ErrStalled):
		l.queue.CloseWithError(own)
		l.cancel(failure.New(failure.Timeout, "%v", own).WithHint("does it hang, or is its disk full? patience= gives it longer"))
	default:
		l.queue.CloseWithError(own)
	}
}

// look finds out what the target has, and whether the image can run there.
func (s *shipment) look(ctx context.Context, t *target) (err error) {
	late := failure.New(failure.Timeout, "no answer within %s", s.a.Patience).WithHint("does the engine hang? patience= gives it longer")
	ctx, cancel := t.world.Clock().WithTimeout(ctx, s.a.Patience, late)
	defer cancel()
	defer func() {
		if err != nil && errors.Is(context.Cause(ctx), late) {
			err = late
		}
		if err != nil {
			err = at(t.Engine, err)
		}
	}()
	there, err := t.inspectImage(ctx, s.a.Image)
	if err == nil && sameImage(s.src, there) {
		t.same = true
		return s.untag(ctx, t, there)
	}
	if err != nil && !isKind(err, failure.NotFound) {
		return err
	}
	var info system.Info
	err = t.read(ctx, func(ctx context.Context, c *client.Client) error {
		info, err = c.Info(ctx)
		return err
	})
	if err != nil {
		return err
	}
	t.machine = info.ID + " " + info.Name
	if err := s.fits(&info); err != nil {
		return err
	}
	if err := s.unpacks(ctx, t); err != nil {
		return err
	}
	if containerdStore(&info) {
		t.layout = true
		if t.whole, err = s.refusesParts(ctx, t); err != nil || t.whole != "" {
			return errors.Join(err, s.room(&info))
		}
	}
	there, err = t.inspectImage(ctx, s.src.ID)
	switch {
	case err == nil && sameImage(s.src, there):
		t.ref = s.src.ID
		return s.try(ctx, t)
	case err != nil && !isKind(err, failure.NotFound):
		return err
	}
	if t.have, err = t.depth(ctx, s.src.RootFS.Layers); err == nil && t.have == 0 {
		return s.room(&info)
	}
	return err
}

// depth returns how many of an image's layers the engine has: those that one of its
// images begins with.
func (e *Engine) depth(ctx context.Context, layers []string) (int, error) {
	var list []image.Summary
	err := e.read(ctx, func(ctx context.Context, c *client.Client) (err error) {
		list, err = c.ImageList(ctx, image.ListOptions{})
		return err
	})
	if err != nil {
		return 0, err
	}
	var most atomic.Int64
	g, ctx := failure.NewGroup(ctx, e.world.AtOnce(8))
	for _, i := range list {
		g.Go(func() error {
			raw, err := e.inspectImage(ctx, i.ID)
			if isKind(err, failure.NotFound) {
				return nil // it was removed just now
			}
			for n := int64(ship.Depth(layers, raw.RootFS.Layers)); err == nil; {
				if was := most.Load(); was >= n || most.CompareAndSwap(was, n) {
					return nil
				}
			}
			return err
		})
	}
	err = g.Wait()
	return int(most.Load()), err
}

// unames are the architectures of Go by what an engine calls its machine's.
var unames = map[string]string{
	"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i386": "386", "i686": "386",
}

// alsoRuns says which further architecture a machine runs.
var alsoRuns = map[string]string{"amd64": "386", "arm64": "arm"}

// fits refuses an image that the engine cannot run. What it calls itself by another
// name is not known here, and passes.
func (s *shipment) fits(info *system.Info) error {
	arch := info.Architecture
	if known, ok := unames[arch]; ok {
		arch = known
	} else if !slices.Contains([]string{"amd64", "arm64", "arm", "386", "s390x", "ppc64le", "riscv64"}, arch) {
		arch = s.src.Architecture
	}
	wrongOS := info.OSType != "" && s.src.Os != "" && info.OSType != s.src.Os
	wrongArch := s.src.Architecture != "" && s.src.Architecture != arch && alsoRuns[arch] != s.src.Architecture
	if !wrongOS && (!wrongArch || s.a.AnyPlatform) {
		return nil
	}
	return failure.New(failure.Invalid, "it runs %s/%s, and the image is for %s/%s", info.OSType, arch, s.src.Os, s.src.Architecture).
		WithHint("build the image for it, or give any_platform=true where it emulates the image's")
}

// room refuses an image that is larger than what the engine says to have left. Most
// storage drivers do not say.
func (s *shipment) room(info *system.Info) error {
	for _, kv := range info.DriverStatus {
		if kv[0] != "Data Space Available" && kv[0] != "Space Available" {
			continue
		}
		free, err := units.FromHumanSize(kv[1])
		if err != nil {
			free, err = units.RAMInBytes(kv[1])
		}
		if err == nil && free < s.src.Size {
			return failure.New(failure.Refused, "it has %s of disk left, and the image takes %s", kv[1], units.HumanSize(float64(s.src.Size))).
				WithHint("make room there: the recipe prune, or docker image prune")
		}
	}
	return nil
}

// try looks whether what was loaded is the image, and whole: a container can be
// created from it. What is wrong with a part of an image is no error yet.
func (s *shipment) try(ctx context.Context, t *target) error {
	err := s.tried(ctx, t)
	if err == nil {
		return nil
	}
	if s.name != "" && t.ref == s.name {
		s.drop(ctx, t)
	}
	switch failure.KindOf(err) {
	case failure.Cancelled, failure.Timeout, failure.Unknown, failure.Unavailable:
		return at(t.Engine, err)
	}
	if t.ref = ""; t.whole == "" {
		t.doubt = err
		return nil
	}
	return at(t.Engine, err)
}

func (s *shipment) tried(ctx context.Context, t *target) error {
	now, err := t.inspectImage(ctx, t.ref)
	if isKind(err, failure.NotFound) {
		return failure.New(failure.Refused, "it says that it loaded the image, which is not there").
			WithHint("the engine's log says more: `journalctl -u docker`")
	}
	if err != nil {
		return err
	}
	if !sameImage(s.src, now) {
		return failure.New(failure.Conflict, "it has image %s, not %s, which was sent", short(now.ID), short(s.src.ID)).
			WithHint("someone else gave it the name %s meanwhile", t.ref)
	}
	if !slices.Equal(now.RootFS.Layers, s.src.RootFS.Layers) {
		return failure.New(failure.Refused, "the image has %d layers there, and %d here", len(now.RootFS.Layers), len(s.src.RootFS.Layers))
	}
	if t.layout && t.whole == "" {
		is, err := t.complete(ctx, now)
		if err == nil && !is {
			err = failure.New(failure.Refused, "the image lacks layers there")
		}
		if err != nil {
			return err
		}
	}
	if !s.a.Verify {
		return nil
	}
	return s.create(ctx, t)
}

// create creates a container of the image, which finds all layers, and removes it.
func (s *shipment) create(ctx context.Context, t *target) error {
	name := "mepc-run-shipping-" + short(s.src.ID)
	remove := func() error { // also what a run that was cut off left
		return found(t.change(ctx, func(ctx context.Context, c *client.Client) error {
			return c.ContainerRemove(ctx, name, container.RemoveOptions{Force: true})
		}, gone(name, func(ctx context.Context) error {
			_, err := t.get(ctx, name)
			return err
		})))
	}
	create := func() error {
		return t.change(ctx, func(ctx context.Context, c *client.Client) error {
			config := container.Config{Image: t.ref, Cmd: []string{"never-run"}}
			_, err := c.ContainerCreate(ctx, &config, &container.HostConfig{NetworkMode: "none"}, nil, nil, name)
			return err
		}, nil)
	}
	err := create()
	if isKind(err, failure.Conflict) {
		if err = remove(); err == nil {
			err = create()
		}
	}
	if err != nil {
		_ = remove() // a reply that was lost may have been a yes
		return err
	}
	return remove()
}

// found is err, unless it says that something is not there which was to go.
func found(err error) error {
	if isKind(err, failure.NotFound) {
		return nil
	}
	return err
}

// stays refuses to give the name to what the source no longer calls by it.
func (s *shipment) stays(ctx context.Context, t *target) error {
	if s.name == "" {
		return nil
	}
	now, err := s.from.inspectImage(ctx, s.a.Image)
	if err == nil && now.ID == s.src.ID {
		return nil
	}
	if t.ref == s.name {
		s.drop(ctx, t)
	}
	if err != nil {
		return at(s.from, err)
	}
	return at(s.from, failure.New(failure.Conflict, "%s became image %s while %s was being sent: no engine was given it", s.a.Image, short(now.ID), short(s.src.ID)).
		WithHint("run it again when the build is over"))
}

// finish gives the image its name, and takes the temporary one away.
func (s *shipment) finish(ctx context.Context, t *target) error {
	if s.name == "" {
		return nil
	}
	err := t.change(ctx, func(ctx context.Context, c *client.Client) error {
		return c.ImageTag(ctx, t.ref, s.a.Image)
	}, func(ctx context.Context) (bool, string, error) {
		now, err := t.inspectImage(ctx, s.a.Image)
		return err == nil && sameImage(s.src, now), "the image has no name yet", nil
	})
	if err != nil {
		return at(t.Engine, err)
	}
	if t.ref == s.name {
		return s.drop(ctx, t)
	}
	now, err := t.inspectImage(ctx, s.a.Image)
	if err != nil {
		return at(t.Engine, err)
	}
	return s.untag(ctx, t, now)
}

// untag takes away the temporary name that a run which was cut off left.
func (s *shipment) untag(ctx context.Context, t *target, there image.InspectResponse) error {
	if s.name == "" || !slices.Contains(there.RepoTags, s.name) || len(there.RepoTags) < 2 {
		return nil
	}
	return s.drop(ctx, t)
}

// drop takes the temporary name away and, where it is the only one, the image.
func (s *shipment) drop(ctx context.Context, t *target) error {
	if err := t.untag(ctx, s.name); err != nil {
		return at(t.Engine, err)
	}
	return nil
}
