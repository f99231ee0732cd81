package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	units "github.com/docker/go-units"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/ship"
	"github.com/mepc/mepc-run/runtime"
)

func shipFunc() runtime.Func {
	return runtime.Func{
		Name: "ship", Class: runtime.Write,
		Doc: "Brings an image to other engines, and sends each only the layers that it lacks. The source pushes or saves it once, for all of them. " +
			"It is loaded under a temporary name, looked at, tried by creating a container, and only then gets its name; " +
			"where the partial image is not taken, all of it is sent. Of an index it is the engine's platform that is sent, with what is attested of it. An engine that has the image is left alone. " +
			"When an engine fails the others get the image all the same, and the error says who has it.",
		From:    "POST /images/{name}/push to this process, or GET /images/get, into POST /images/load, then GET /images/{name}/json, POST /containers/create and POST /images/{name}/tag",
		Returns: "what was sent",
		Raises:  writes(failure.Invalid, failure.NotFound, failure.Conflict),
		Example: `docker.ship{image = "mepc/app:1.1", to = docker.connect("unix:///var/run/docker.sock")}`,
		Call:    runtime.Effect((*Engine).ship),
	}
}

type shipArgs struct {
	Image       string        `lua:"image,required,target" doc:"the image's name, or its ID"`
	From        *Engine       `lua:"from" doc:"the engine that has it; the one that the function is called on when not given"`
	To          []*Engine     `lua:"to,required" doc:"the engines to bring it to: one, or a list"`
	Concurrency int           `lua:"concurrency" default:"16" min:"1" max:"64" doc:"to how many at a time; for more of them the source saves the image again"`
	Compress    string        `lua:"compress" default:"auto" enum:"auto|none|gzip|zstd" doc:"auto compresses with gzip what goes over a link that turns out to be slow; zstd is better, and engines know it from version 23 on; what is pushed is compressed by the source"`
	Via         string        `lua:"via" default:"auto" enum:"auto|push|save" doc:"push: the source pushes the missing layers to this process, and compresses what it never pushed before; save: it saves all layers, and what is there is dropped; auto pushes a small part of an image"`
	Verify      bool          `lua:"verify" default:"true" doc:"create a container from the image, and remove it, before the image gets its name"`
	AnyPlatform bool          `lua:"any_platform" doc:"bring it to an engine of another architecture, too: one that emulates the image's"`
	Patience    time.Duration `lua:"patience" default:"1m" min:"0.1" doc:"how long an engine may take to answer a look, or to take data"`
	Timeout     time.Duration `lua:"timeout" default:"30m" doc:"how long it may take in all"`
}

// Validate refuses what can be seen to be wrong before anything is sent.
func (a *shipArgs) Validate() error {
	ref, err := reference.ParseAnyReference(a.Image)
	if err != nil {
		return checkImage("image", a.Image)
	}
	_, named := ref.(reference.Named)
	if _, digested := ref.(reference.Digested); named && digested {
		return fmt.Errorf("image: %q is a registry's digest, which other engines do not learn: give the image a name with docker.tag", a.Image)
	}
	if len(a.To) == 0 {
		return errors.New("to: an engine is needed")
	}
	seen := map[string]bool{}
	for _, to := range a.To {
		if seen[to.Endpoint()] {
			return fmt.Errorf("to: %s is there twice", to)
		}
		seen[to.Endpoint()] = true
	}
	return nil
}

// Op bounds the call by its own option.
func (a *shipArgs) Op(op *effect.Op) { op.Timeout = a.Timeout }

// Shipped is the result of a shipment.
type Shipped struct {
	ID      string       `lua:"id" doc:"the image's ID at the source"`
	Bytes   runtime.Size `lua:"bytes" doc:"what was sent, to all engines together"`
	Saved   runtime.Size `lua:"saved" doc:"the bytes of the layers that were not sent, because they were there"`
	Via     string       `lua:"via" doc:"push or save: how the source gave it; empty when it had to give nothing"`
	Engines []ShippedTo  `lua:"engines" doc:"the engines, in the order of to"`
}

// ShippedTo is what one engine got.
type ShippedTo struct {
	Engine    string       `lua:"engine" doc:"where it is"`
	Unchanged bool         `lua:"unchanged" doc:"whether it had the image already"`
	Bytes     runtime.Size `lua:"bytes" doc:"what it was sent"`
	Layers    int          `lua:"layers" doc:"how many layers it was sent"`
	Whole     string       `lua:"whole" doc:"why it was sent all layers although it may have had some; empty: it was not"`
}

// shipment is one image on its way.
type shipment struct {
	a       *shipArgs
	from    *Engine
	src     image.InspectResponse
	name    string // the temporary one; empty for an image that is asked for by its ID
	targets []*target
	sent    *meter

	via      string  // how the source gave the image last
	sizes    []int64 // of the layers, about
	unpushed error   // why it was saved although a push was tried
}

// target is one engine that is to have the image.
type target struct {
	*Engine
	err     error
	same    bool   // the image was there, by its name
	ref     string // what the image is found by once it is loaded; empty: it is not there
	have    int    // so many of its layers are there
	layout  bool   // it keeps images in containerd, and takes parts as OCI layouts
	whole   string // why all of it is sent
	doubt   error  // why a partial image was not taken
	machine string // the engine's own ID and host name

	bytes, left int64
	layers      int
}

// temporary is the repository of the names under which images are loaded before
// they are known to be whole. A run that was cut off leaves one behind, which the
// next shipment of the image takes over.
const temporary = "mepc-run/shipping"

func (e *Engine) ship(ctx context.Context, a *shipArgs) (*Shipped, error) {
	s := &shipment{a: a, from: cmp.Or(a.From, e)}
	var err error
	if s.src, err = s.from.inspectImage(ctx, a.Image); err != nil {
		return nil, err
	}
	if id := strings.TrimPrefix(s.src.ID, "sha256:"); !strings.HasPrefix(id, strings.TrimPrefix(a.Image, "sha256:")) {
		s.name = temporary + ":" + id
	}
	for _, to := range a.To {
		s.targets = append(s.targets, &target{Engine: to})
	}
	s.sent = e.meter(ctx, 0)
	s.each(ctx, s.targets, s.look)
	s.twice()
	s.move(ctx, s.waiting())
	for _, t := range s.waiting() { // not there yet
		t.whole, t.have = t.doubt.Error(), 0
	}
	s.move(ctx, s.waiting())
	s.each(ctx, s.loaded(), s.stays)
	s.each(ctx, s.loaded(), s.finish)
	s.from.forsaken(ctx, s.src, s.name)
	return s.result(ctx)
}

// each calls do for the targets, several at a time, and notes each one's error.
func (s *shipment) each(ctx context.Context, targets []*target, do func(context.Context, *target) error) {
	g, _ := failure.NewGroup(ctx, s.from.world.AtOnce(s.a.Concurrency))
	for _, t := range targets {
		g.Go(func() error {
			t.err = failure.Protect(func() error { return do(ctx, t) })
			return nil
		})
	}
	_ = g.Wait()
}

func (s *shipment) those(is func(*target) bool) (list []*target) {
	for _, t := range s.targets {
		if t.err == nil && !t.same && is(t) {
			list = append(list, t)
		}
	}
	return list
}

// waiting are the targets that are to be sent the image, or the rest of it.
func (s *shipment) waiting() []*target { return s.those(func(t *target) bool { return t.ref == "" }) }

// loaded are those that have the image, under its temporary name.
func (s *shipment) loaded() []*target { return s.those(func(t *target) bool { return t.ref != "" }) }

// twice refuses two targets that are one engine under two addresses.
func (s *shipment) twice() {
	seen := map[string]*target{}
	for _, t := range s.waiting() {
		if other := seen[t.machine]; other != nil {
			t.err = failure.New(failure.Invalid, "%s and %s are the same engine", other, t).WithHint("name it once")
		}
		seen[t.machine] = t
	}
}

// move sends the image to the targets, in groups for each of which it is read once.
func (s *shipment) move(ctx context.Context, targets []*target) {
	for group := range slices.Chunk(targets, s.from.world.AtOnce(s.a.Concurrency)) {
		if s.via = "push"; !s.pushed(ctx, group) {
			s.via = "save"
			s.send(ctx, group)
		}
		s.each(ctx, group, func(ctx context.Context, t *target) error {
			if t.err != nil || t.doubt != nil && t.ref == "" {
				return t.err
			}
			return s.try(ctx, t)
		})
	}
}

// send reads the image once and splits it among the group.
func (s *shipment) send(ctx context.Context, group []*target) {
	var parts []*ship.Part
	var lanes []*lane
	for _, t := range group {
		l := newLane(ctx, t, s.a.Patience)
		l.pack(s.a.Compress, s.from.world.Clock().Now)
		parts, lanes = append(parts, &ship.Part{W: l.in, Have: t.have}), append(lanes, l)
	}
	err := s.from.read(ctx, func(ctx context.Context, c *client.Client) error {
		body, err := c.ImageSave(ctx, []string{s.src.ID})
		if err != nil {
			return err
		}
		defer body.Close()
		s.sent.expect(s.src.Size)
		loading, _ := failure.NewGroup(ctx, -1)
		for _, l := range lanes {
			loading.Go(func() error { s.load(l); return nil })
		}
		err = failure.Protect(func() error { return s.split(body, parts) })
		for i, l := range lanes {
			l.end(err, parts[i].Err)
		}
		return errors.Join(err, loading.Wait())
	})
	for i, l := range lanes {
		l.to.bytes += l.queue.Bytes()
		l.to.layers, l.to.left = parts[i].Layers, parts[i].LeftOut
		if err != nil {
			l.to.err = at(s.from, err)
		}
	}
}

func (s *shipment) split(body io.Reader, parts []*ship.Part) error {
	tar := &counted{Reader: body, m: s.sent}
	err := ship.Split(tar, ship.Image{Layers: s.src.RootFS.Layers, Name: s.name}, parts...)
	switch {
	case errors.Is(err, ship.ErrNobody), err == nil:
		return nil
	case tar.err != nil:
		return tar.err
	}
	return failure.New(failure.Unavailable, "what it saved is not a whole image: %v", err).
		WithHint("the log of the engine at %s says why: `journalctl -u docker`", s.from)
}

// load hands the lane to its engine, and notes by what the image is found.
func (s *shipment) load(l *lane) {
	defer l.queue.Close()
	t := l.to
	found := cmp.Or(s.name, s.src.ID)
	load := func(ctx context.Context, c *client.Client) error {
		resp, err := c.ImageLoad(ctx, l.queue)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		refs, err := readLoad(resp.Body)
		if len(refs) == 1 && s.name == "" {
			found = refs[0]
		}
		return err
	}
	err := failure.Protect(func() error {
		return t.change(l.ctx, load, func(ctx context.Context) (bool, string, error) {
			now, err := t.inspectImage(ctx, found)
			return err == nil && sameImage(s.src, now), "the image is not there", nil
		})
	})
	var failed *errStreamFailed
	switch {
	case err == nil:
		t.ref = found
	case errors.As(err, &failed) && t.whole == "":
		t.doubt = fmt.Errorf("a part was not taken: %s", failed.text)
	case errors.As(err, &failed):
		t.err = at(t.Engine, failure.New(failure.Refused, "it cannot load the image: %s", failed.text).
			WithHint("the engine's log says more: `journalctl -u docker`; is its disk full?"))
	case errors.Is(err, errNotStream):
		t.err = at(t.Engine, failure.New(failure.Unknown, "%s", err.Error()).WithHint("is there a proxy before the engine?"))
	default:
		t.err = at(t.Engine, err)
	}
}

// result says what was sent, or who did not get the image and who did.
func (s *shipment) result(ctx context.Context) (*Shipped, error) {
	out := &Shipped{ID: s.src.ID, Via: s.via}
	var failed []*target
	var states []string
	unchanged, wholes := true, map[string]bool{}
	for _, t := range s.targets {
		switch {
		case t.err != nil:
			failed = append(failed, t)
		case t.same:
			states = append(states, t.String()+" had it already")
		default:
			states = append(states, t.String()+" has it now")
		}
		unchanged = unchanged && t.same
		if t.whole == "" && t.have > 0 && t.layers >= len(s.src.RootFS.Layers) {
			t.whole = "the source keeps layers compressed, and what it saves does not tell which the others have"
		}
		if t.whole != "" {
			wholes[t.whole] = true
		}
		out.Bytes += runtime.Size(t.bytes)
		out.Saved += runtime.Size(t.left)
		out.Engines = append(out.Engines, ShippedTo{
			Engine: t.String(), Unchanged: t.same, Bytes: runtime.Size(t.bytes), Layers: t.layers, Whole: t.whole,
		})
	}
	if len(failed) > 0 {
		return nil, s.failed(failed, states)
	}
	if unchanged {
		effect.Unaltered(ctx)
		effect.Note(ctx, "there already")
		return out, nil
	}
	note := fmt.Sprintf("%s sent, %s saved", units.HumanSize(float64(out.Bytes)), units.HumanSize(float64(out.Saved)))
	if len(s.targets) > 1 {
		note += fmt.Sprintf(", %d engines", len(s.targets))
	}
	for why := range wholes {
		note += "; all of it: " + why
	}
	if s.unpushed != nil {
		note += "; saved, since a push failed: " + s.unpushed.Error()
	}
	effect.Note(ctx, note)
	return out, nil
}

func (s *shipment) failed(failed []*target, states []string) error {
	first := failure.As(failed[0].err)
	if first == nil { // the run's own end
		return failed[0].err
	}
	e := *first
	if len(s.targets) > 1 {
		var all []string
		for _, t := range failed {
			all = append(all, t.err.Error())
		}
		e.Message = fmt.Sprintf("%d of %d engines did not get %s: %s", len(failed), len(s.targets), s.a.Image, strings.Join(all, "; "))
	}
	if len(states) > 0 {
		e.State = strings.Join(states, "; ")
	}
	return &e
}

// at says of which engine an error tells.
func at(e *Engine, err error) error {
	known := failure.As(err)
	if known == nil || strings.Contains(known.Message, e.Endpoint()) {
		return err
	}
	out := *known
	out.Message = "the engine at " + e.Endpoint() + ": " + known.Message
	return &out
}

// counted shows what is read, and keeps its end's own error, which whoever takes
// the tar apart would take for the tar's.
type counted struct {
	io.Reader
	m   *meter
	err error
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.m.add(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}
