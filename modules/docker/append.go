package docker

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/docker/api/types/image"
	units "github.com/docker/go-units"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/ship"
	"github.com/mepc/mepc-run/runtime"
)

func appendFunc() runtime.Func {
	return runtime.Func{
		Name: "append", Class: runtime.Write,
		Doc: "Makes an image of another one and a directory: a layer that holds the directory is laid on the base, without a build, and without reading the base. " +
			"The same base and the same files always make the same image; an existing one is left alone. " +
			"It is loaded under a temporary name, and gets its own when it is seen to be whole.",
		From:    "GET /images/{name}/json, POST /images/load, POST /images/{name}/tag",
		Returns: "the new image",
		Raises:  writes(failure.Invalid, failure.NotFound),
		Example: `docker.append{image = "mepc/app:debug", base = "mepc/app:1.1", add = "app", to = "/srv/app"}`,
		Call:    runtime.Effect((*Engine).append),
	}
}

type appendArgs struct {
	Image   string         `lua:"image,required,target" doc:"the new image's name"`
	Base    string         `lua:"base,required" doc:"the image that it is laid on, which the engine must have"`
	Add     string         `lua:"add,required" doc:"the directory, relative to where mepc-run was started"`
	To      string         `lua:"to,required" doc:"where it is in the image"`
	Config  appendedConfig `lua:"config" doc:"what is other than in the base"`
	Created float64        `lua:"created" min:"0" max:"253402300799" doc:"when it says that it was made, in seconds since 1970; the base's time when not given"`
	Timeout time.Duration  `lua:"timeout" default:"10m" min:"0.001" doc:"how long it may take"`
}

// appendedConfig is what an image can have other than its base.
type appendedConfig struct {
	Cmd        []string          `lua:"cmd" doc:"the command"`
	Entrypoint []string          `lua:"entrypoint" doc:"the entry point, whose base's command is then dropped"`
	Env        map[string]string `lua:"env" doc:"environment variables, beside the base's"`
	Labels     map[string]string `lua:"labels" doc:"labels, beside the base's"`
	User       string            `lua:"user" doc:"who runs it"`
	WorkingDir string            `lua:"working_dir" doc:"where it starts"`
}

func (a *appendArgs) Validate() error {
	if err := checkImage("image", a.Image); err != nil {
		return err
	}
	if err := checkImage("base", a.Base); err != nil {
		return err
	}
	if err := checkEnv(a.Config.Env); err != nil {
		return err
	}
	return checkPath("to", a.To)
}

// Op bounds the call by its own option.
func (a *appendArgs) Op(op *effect.Op) { op.Timeout = a.Timeout }

// Appended is the result of an append.
type Appended struct {
	ID    string       `lua:"id" doc:"the image's ID"`
	Layer string       `lua:"layer" doc:"the new layer's digest"`
	Bytes runtime.Size `lua:"bytes" doc:"what was sent; 0 when the image was there"`
}

// rootFS and step are parts of an image's configuration.
type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type step struct {
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
}

// imageConfig is an image's configuration, whose digest is its ID.
type imageConfig struct {
	Architecture string         `json:"architecture"`
	Variant      string         `json:"variant,omitempty"`
	Config       map[string]any `json:"config"`
	Created      time.Time      `json:"created"`
	History      []step         `json:"history"`
	OS           string         `json:"os"`
	RootFS       rootFS         `json:"rootfs"`
}

func (e *Engine) append(ctx context.Context, a *appendArgs) (*Appended, error) {
	base, err := e.inspectImage(ctx, a.Base)
	if err != nil {
		return nil, err
	}
	dir, err := e.world.Directory(a.Add)
	if err != nil {
		return nil, err
	}
	digest := sha256.New()
	var size counter
	if err := dir.Layer(io.MultiWriter(digest, &size), a.To); err != nil {
		return nil, failure.Wrap(failure.Invalid, err, "the directory %s", a.Add)
	}
	out := &Appended{Layer: fmt.Sprintf("sha256:%x", digest.Sum(nil))}
	config, err := a.imageConfig(&base, out.Layer)
	if err != nil {
		return nil, err
	}
	layer := &ship.File{Size: int64(size), WriteTo: func(w io.Writer) error { return dir.Layer(w, a.To) }}
	add := addTo(base, config, layer)
	if base.Descriptor != nil {
		if add, err = e.addLayout(ctx, a, base, config, out.Layer, layer); err != nil {
			return nil, err
		}
	}
	out.ID = add.id
	if now, err := e.inspectImage(ctx, a.Image); err == nil && now.ID == out.ID {
		effect.Unaltered(ctx)
		return out, nil
	}
	name := temporary + ":" + strings.TrimPrefix(out.ID, "sha256:")
	if err := e.loadAppended(ctx, name, add, int64(size)); err != nil {
		return nil, err
	}
	out.Bytes = runtime.Size(size)
	effect.Note(ctx, units.HumanSize(float64(size))+" laid on "+a.Base)
	if err := e.name(ctx, out.ID, a.Image); err != nil {
		return nil, err
	}
	return out, e.untag(ctx, name)
}

// counter counts bytes.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// imageConfig is the base's with the layer on top.
func (a *appendArgs) imageConfig(base *image.InspectResponse, layer string) ([]byte, error) {
	created := parseTime(base.Created)
	if a.Created > 0 {
		created = time.Unix(int64(a.Created), 0)
	}
	c := imageConfig{
		Architecture: base.Architecture, Variant: base.Variant, OS: base.Os, Created: created.UTC(), Config: map[string]any{},
		RootFS: rootFS{"layers", append(append([]string(nil), base.RootFS.Layers...), layer)},
	}
	for range base.RootFS.Layers {
		c.History = append(c.History, step{parseTime(base.Created).UTC(), "FROM " + a.Base})
	}
	c.History = append(c.History, step{created.UTC(), "COPY . " + a.To})
	given, err := json.Marshal(base.Config)
	if err == nil {
		err = json.Unmarshal(given, &c.Config)
	}
	if err != nil {
		return nil, err
	}
	a.Config.apply(c.Config)
	return json.Marshal(c)
}

func (c *appendedConfig) apply(config map[string]any) {
	if c.Entrypoint != nil {
		config["Entrypoint"], config["Cmd"] = c.Entrypoint, nil
	}
	if c.Cmd != nil {
		config["Cmd"] = c.Cmd
	}
	if c.User != "" {
		config["User"] = c.User
	}
	if c.WorkingDir != "" {
		config["WorkingDir"] = c.WorkingDir
	}
	if len(c.Env) > 0 {
		var env []string
		had, _ := config["Env"].([]any)
		for _, line := range had {
			name, _, _ := strings.Cut(fmt.Sprint(line), "=")
			if _, given := c.Env[name]; !given {
				env = append(env, fmt.Sprint(line))
			}
		}
		config["Env"] = append(env, envList(c.Env)...)
	}
	if len(c.Labels) > 0 {
		labels, _ := config["Labels"].(map[string]any)
		if labels == nil {
			labels = map[string]any{}
		}
		for k, v := range c.Labels {
			labels[k] = v
		}
		config["Labels"] = labels
	}
}
