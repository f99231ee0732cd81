package docker

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func volumeFuncs() []runtime.Func {
	return []runtime.Func{
		{
			Name: "volume", Class: runtime.Read,
			Doc:  "Looks for a volume.",
			From: "GET /volumes/{name}", Returns: "the volume, or nil when there is none",
			Raises: reads(failure.Invalid), Example: `if not docker.volume("app-data") then docker.volume_create("app-data") end`,
			Call: runtime.Effect((*Engine).volume),
		},
		{
			Name: "volumes", Class: runtime.Read,
			Doc:  "Lists volumes by name. What is given must all hold.",
			From: "GET /volumes", Returns: "the volumes",
			Raises: reads(failure.Invalid), Example: `for _, v in ipairs(docker.volumes{unused = true}) do log(v.name) end`,
			Call: runtime.Effect((*Engine).volumes),
		},
		{
			Name: "volume_create", Class: runtime.Write,
			Doc: "Creates a volume. An existing one with the same driver is left unchanged, its labels too. " +
				"A volume that is a directory or a device of the machine (options device and o=bind) needs what the mount of it needs.",
			From: "POST /volumes/create", Returns: "the volume",
			Raises:  writes(failure.Invalid, failure.Conflict, failure.Denied),
			Example: `docker.volume_create("app-data", {labels = {["mepc.app"] = "app"}})`,
			Call:    runtime.Effect((*Engine).volumeCreate),
		},
		{
			Name: "volume_remove", Class: runtime.Destructive,
			Doc:  "Removes a volume and what is in it. One that a container has mounted, be it a stopped one, is refused.",
			From: "DELETE /volumes/{name}", Returns: "nothing",
			Raises: writes(failure.Invalid, failure.NotFound, failure.Conflict), Example: `docker.volume_remove("app-data", {missing_ok = true})`,
			Call: runtime.Effect((*Engine).volumeRemove),
		},
		volumePruneFunc(),
	}
}

// Volume is a volume as recipes see it.
type Volume struct {
	Name       string            `lua:"name" doc:"its name"`
	Driver     string            `lua:"driver" doc:"what makes it, such as local"`
	Mountpoint string            `lua:"mountpoint" doc:"where it is on the engine's machine"`
	Labels     map[string]string `lua:"labels" doc:"its labels"`
	Options    map[string]string `lua:"options" doc:"the driver's options"`
	Created    time.Time         `lua:"created" doc:"when it was created, in seconds since 1970"`
}

func newVolume(raw volume.Volume) *Volume {
	return &Volume{
		Name: raw.Name, Driver: raw.Driver, Mountpoint: raw.Mountpoint, Labels: raw.Labels, Options: raw.Options, Created: parseTime(raw.CreatedAt),
	}
}

type volumeArgs struct {
	Volume string `lua:"volume,pos,required,target" doc:"its name"`
}

func (a *volumeArgs) Validate() error { return checkVolume("volume", a.Volume) }

func checkVolume(option, name string) error {
	if !newName().MatchString(name) {
		return fmt.Errorf("%s: %q is not a volume's name: two or more of a-z, A-Z, 0-9, _, . and -, the first a letter or a digit", option, name)
	}
	return nil
}

func (e *Engine) volume(ctx context.Context, a *volumeArgs) (*Volume, error) {
	raw, err := e.getVolume(ctx, a.Volume)
	return orNil(raw, err, newVolume)
}

func (e *Engine) getVolume(ctx context.Context, name string) (raw volume.Volume, err error) {
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		raw, err = c.VolumeInspect(ctx, name)
		return err
	})
	return raw, err
}

type volumesArgs struct {
	Name   string            `lua:"name,target" doc:"their name, where * stands for any text and ? for any character"`
	Driver string            `lua:"driver" doc:"their driver, such as local"`
	Labels map[string]string `lua:"labels" doc:"labels they have; an empty value stands for any"`
	Unused bool              `lua:"unused" doc:"true: only those that no container has mounted"`
}

func (a *volumesArgs) Validate() error {
	if _, err := path.Match(a.Name, ""); err != nil {
		return fmt.Errorf("name: %q is not a pattern", a.Name)
	}
	return nil
}

func (e *Engine) volumes(ctx context.Context, a *volumesArgs) (list []*Volume, err error) {
	f := labelFilter(a.Labels)
	if a.Driver != "" {
		f.Add("driver", a.Driver)
	}
	if a.Unused {
		f.Add("dangling", "true")
	}
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		found, err := c.VolumeList(ctx, volume.ListOptions{Filters: f})
		for _, raw := range found.Volumes {
			if raw != nil && (a.Name == "" || nameMatches(a.Name, []string{raw.Name})) {
				list = append(list, newVolume(*raw))
			}
		}
		return err
	})
	slices.SortFunc(list, func(a, b *Volume) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

type volumeCreateArgs struct {
	Name    string            `lua:"name,pos,required,target" doc:"its name: two or more of a-z, A-Z, 0-9, _, . and -, the first a letter or a digit"`
	Driver  string            `lua:"driver" default:"local" doc:"what makes it"`
	Options map[string]string `lua:"options" doc:"the driver's options, such as type, device and o"`
	Labels  map[string]string `lua:"labels" doc:"labels"`
}

func (a *volumeCreateArgs) Validate() error { return checkVolume("name", a.Name) }

func (e *Engine) volumeCreate(ctx context.Context, a *volumeCreateArgs) (*Volume, error) {
	if err := e.allowedVolume(a); err != nil {
		return nil, err
	}
	was, err := e.getVolume(ctx, a.Name)
	switch {
	case err == nil && was.Driver == a.Driver:
		effect.Unaltered(ctx)
		return newVolume(was), nil
	case err == nil:
		return nil, failure.New(failure.Conflict, "the volume %s is there, of the driver %s", a.Name, was.Driver)
	case !isKind(err, failure.NotFound):
		return nil, err
	}
	err = e.change(ctx, func(ctx context.Context, c *client.Client) error {
		_, err := c.VolumeCreate(ctx, volume.CreateOptions{Name: a.Name, Driver: a.Driver, DriverOpts: a.Options, Labels: a.Labels})
		return err
	}, func(ctx context.Context) (bool, string, error) {
		_, err := e.getVolume(ctx, a.Name)
		if isKind(err, failure.NotFound) {
			return false, "there is no volume named " + a.Name + " now", nil
		}
		return err == nil, "", err
	})
	if err != nil {
		return nil, err
	}
	raw, err := e.getVolume(ctx, a.Name)
	if err != nil {
		return nil, err
	}
	return newVolume(raw), nil
}

type volumeRemoveArgs struct {
	Volume    string `lua:"volume,pos,required,target" doc:"its name"`
	MissingOK bool   `lua:"missing_ok" doc:"do nothing when there is no such volume, instead of raising not_found"`
}

func (a *volumeRemoveArgs) Validate() error { return checkVolume("volume", a.Volume) }

func (e *Engine) volumeRemove(ctx context.Context, a *volumeRemoveArgs) (runtime.None, error) {
	err := e.change(ctx, func(ctx context.Context, c *client.Client) error {
		return c.VolumeRemove(ctx, a.Volume, false)
	}, gone(a.Volume, func(ctx context.Context) error {
		_, err := e.getVolume(ctx, a.Volume)
		return err
	}))
	if a.MissingOK && isKind(err, failure.NotFound) {
		effect.Unaltered(ctx)
		return runtime.None{}, nil
	}
	return runtime.None{}, hint(err, failure.Conflict, "remove the containers that mount it first")
}
