package docker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func imageFuncs() []runtime.Func {
	return []runtime.Func{
		{
			Name: "image", Class: runtime.Read,
			Doc:  "Looks for an image on the engine.",
			From: "GET /images/{name}/json", Returns: "the image, or nil when there is none",
			Raises: reads(failure.Invalid), Example: `if not docker.image("mepc/app:1.1") then docker.load("app.tar") end`,
			Call: runtime.Effect((*Engine).image),
		},
		{
			Name: "images", Class: runtime.Read,
			Doc:  "Lists the engine's images, the newest first. What is given must all hold.",
			From: "GET /images/json", Returns: "the images",
			Raises: reads(failure.Invalid), Example: `for _, i in ipairs(docker.images{reference = "mepc/app"}) do log(i.id) end`,
			Call: runtime.Effect((*Engine).images),
		},
		{
			Name: "tag", Class: runtime.Write,
			Doc:  "Gives an image a further name. The name leaves the image that had it.",
			From: "POST /images/{name}/tag", Returns: "nothing", Raises: writes(failure.Invalid, failure.NotFound, failure.Conflict),
			Example: `docker.tag("mepc/app:1.1", "mepc/app:current")`,
			Call:    runtime.Effect((*Engine).tag),
		},
		{
			Name: "remove_image", Class: runtime.Destructive,
			Doc: "Removes a name of an image and, when it was the last, the image and those below it that nothing else needs. " +
				"An image that a container is made of is refused.",
			From: "DELETE /images/{name}", Returns: "what was removed",
			Raises: writes(failure.Invalid, failure.NotFound, failure.Conflict), Example: `docker.remove_image("mepc/app:1.0", {missing_ok = true})`,
			Call: runtime.Effect((*Engine).removeImage),
		},
		historyFunc(),
		pruneImagesFunc(),
	}
}

// Image is an image as recipes see it.
type Image struct {
	ID      string            `lua:"id" doc:"sha256:..."`
	Tags    []string          `lua:"tags" doc:"its names, such as mepc/app:1.1"`
	Digests []string          `lua:"digests" doc:"its names by digest, as registries know it"`
	Labels  map[string]string `lua:"labels" doc:"its labels"`
	Size    runtime.Size      `lua:"size" doc:"of all its layers, in bytes; where the engine keeps images in containerd, with what they are unpacked from"`
	Created time.Time         `lua:"created" doc:"when it was built, in seconds since 1970"`
}

// ImageDetails is what the engine knows of a single image.
type ImageDetails struct {
	Image
	Content     string            `lua:"content" doc:"sha256:..., a digest of its layers and configuration: the same on every engine, of which one with the containerd image store has another id"`
	OS          string            `lua:"os" doc:"such as linux"`
	Arch        string            `lua:"arch" doc:"such as amd64"`
	Layers      []string          `lua:"layers" doc:"the digests of its layers, lowest first"`
	Cmd         []string          `lua:"cmd" doc:"its command"`
	Entrypoint  []string          `lua:"entrypoint" doc:"its entry point"`
	Env         map[string]string `lua:"env" doc:"its environment"`
	Exposed     []string          `lua:"exposed" doc:"its ports, such as 8080/tcp"`
	User        string            `lua:"user" doc:"who it runs as"`
	WorkingDir  string            `lua:"working_dir" doc:"where it starts"`
	Healthcheck bool              `lua:"healthcheck" doc:"whether it has a HEALTHCHECK"`
}

type imageArgs struct {
	Image string `lua:"image,pos,required,target" doc:"its name or ID"`
}

func (a *imageArgs) Validate() error { return checkImage("image", a.Image) }

func (e *Engine) image(ctx context.Context, a *imageArgs) (*ImageDetails, error) {
	raw, err := e.inspectImage(ctx, a.Image)
	return orNil(raw, err, newImage)
}

func (e *Engine) inspectImage(ctx context.Context, ref string) (raw image.InspectResponse, err error) {
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		raw, err = c.ImageInspect(ctx, ref)
		return err
	})
	if err == nil && raw.ID == "" {
		err = failure.New(failure.Unavailable, "the engine's answer makes no sense: it describes no image")
	}
	if err == nil && shortHex().MatchString(ref) && !slices.Contains(raw.RepoTags, ref+":latest") {
		err = notMeant("image", ref)
	}
	return raw, err
}

func newImage(raw image.InspectResponse) *ImageDetails {
	d := &ImageDetails{
		Image:   Image{ID: raw.ID, Tags: raw.RepoTags, Digests: raw.RepoDigests, Size: runtime.Size(raw.Size), Created: parseTime(raw.Created)},
		Content: content(raw), OS: raw.Os, Arch: raw.Architecture, Layers: raw.RootFS.Layers, Env: map[string]string{},
	}
	c := raw.Config
	if c == nil {
		return d
	}
	d.Labels, d.Cmd, d.Entrypoint, d.User, d.WorkingDir = c.Labels, c.Cmd, c.Entrypoint, c.User, c.WorkingDir
	d.Healthcheck = c.Healthcheck != nil && len(c.Healthcheck.Test) > 0 && c.Healthcheck.Test[0] != "NONE"
	for _, kv := range c.Env {
		k, v, _ := strings.Cut(kv, "=")
		d.Env[k] = v
	}
	for p := range c.ExposedPorts {
		d.Exposed = append(d.Exposed, p)
	}
	slices.Sort(d.Exposed)
	return d
}

type imagesArgs struct {
	Reference string            `lua:"reference,target" doc:"their name, where * stands for any text but /, such as mepc/app or mepc/app:1.*"`
	Labels    map[string]string `lua:"labels" doc:"labels they have; an empty value stands for any"`
	Dangling  bool              `lua:"dangling" doc:"true: only those without a name"`
}

func (e *Engine) images(ctx context.Context, a *imagesArgs) (list []Image, err error) {
	f := labelFilter(a.Labels)
	if a.Reference != "" {
		f.Add("reference", a.Reference)
	}
	if a.Dangling {
		f.Add("dangling", "true")
	}
	var found []image.Summary
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		found, err = c.ImageList(ctx, image.ListOptions{Filters: f})
		return err
	})
	for _, s := range found {
		list = append(list, Image{
			ID: s.ID, Tags: named(s.RepoTags), Digests: named(s.RepoDigests), Labels: s.Labels,
			Size: runtime.Size(s.Size), Created: time.Unix(s.Created, 0),
		})
	}
	slices.SortStableFunc(list, func(a, b Image) int { return b.Created.Compare(a.Created) })
	return list, err
}

// named leaves out what older engines write for no name.
func named(refs []string) []string {
	return slices.DeleteFunc(refs, func(s string) bool { return strings.HasPrefix(s, "<none>") })
}

type tagArgs struct {
	Image string `lua:"image,pos,required,target" doc:"the image's name or ID"`
	Name  string `lua:"name,pos,required" doc:"its further name, such as mepc/app:current; without a tag it is :latest"`
}

func (a *tagArgs) Validate() error {
	if err := checkImage("image", a.Image); err != nil {
		return err
	}
	_, err := checkTag("name", a.Name)
	return err
}

func (e *Engine) tag(ctx context.Context, a *tagArgs) (runtime.None, error) {
	want, err := e.inspectImage(ctx, a.Image)
	if err != nil {
		return runtime.None{}, err
	}
	same := func(ctx context.Context) (bool, string, error) {
		now, err := e.inspectImage(ctx, a.Name)
		if isKind(err, failure.NotFound) {
			return false, "no image is named " + a.Name, nil
		}
		return err == nil && now.ID == want.ID, a.Name + " is image " + short(now.ID), err
	}
	if done, _, err := same(ctx); err == nil && done {
		effect.Unaltered(ctx)
		return runtime.None{}, nil
	}
	return runtime.None{}, e.change(ctx, func(ctx context.Context, c *client.Client) error {
		return c.ImageTag(ctx, want.ID, a.Name)
	}, same)
}

type removeImageArgs struct {
	Image     string `lua:"image,pos,required,target" doc:"the name, or an ID, which removes all names"`
	Force     bool   `lua:"force" doc:"remove an ID that has several names, or that a stopped container is made of"`
	NoPrune   bool   `lua:"no_prune" doc:"keep unnamed images below it"`
	MissingOK bool   `lua:"missing_ok" doc:"do nothing when there is no such image, instead of raising not_found"`
}

func (a *removeImageArgs) Validate() error { return checkImage("image", a.Image) }

// Removed is what remove_image did.
type Removed struct {
	Untagged []string `lua:"untagged" doc:"the names that are gone"`
	Deleted  []string `lua:"deleted" doc:"the IDs that are gone"`
}

func (e *Engine) removeImage(ctx context.Context, a *removeImageArgs) (out Removed, err error) {
	err = e.change(ctx, func(ctx context.Context, c *client.Client) error {
		list, err := c.ImageRemove(ctx, a.Image, image.RemoveOptions{Force: a.Force, PruneChildren: !a.NoPrune})
		for _, r := range list {
			if r.Untagged != "" {
				out.Untagged = append(out.Untagged, r.Untagged)
			}
			if r.Deleted != "" {
				out.Deleted = append(out.Deleted, r.Deleted)
			}
		}
		return err
	}, gone(a.Image, func(ctx context.Context) error {
		_, err := e.inspectImage(ctx, a.Image)
		return err
	}))
	if a.MissingOK && isKind(err, failure.NotFound) {
		effect.Unaltered(ctx)
		return out, nil
	}
	if err == nil {
		effect.Note(ctx, fmt.Sprintf("%d names, %d layers", len(out.Untagged), len(out.Deleted)))
	}
	return out, hint(err, failure.Conflict, "remove the containers made of it first (docker.list{image = ...}), or name one of its names instead of its ID")
}
