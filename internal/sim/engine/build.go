package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/internal/state/engineapi"
)

// imageBuild is both builders: BuildKit knows more of a Dockerfile, and says what it does
// in another way. It reads a Dockerfile for what it says about the image. Nothing is
// executed: RUN leaves a layer without content. The image's ID comes from the
// base, the instructions and the files that are copied, so the same context
// always gives the same image, as with the engine's build cache.
func imageBuild(c *call) (reply, error) {
	q := c.query
	switch {
	case q.Get("platform") != "" && q.Get("platform") != "linux/amd64":
		return reply{}, notModelled("POST /build for %s", q.Get("platform"))
	case q.Get("remote") != "":
		return reply{}, notModelled("POST /build from a URL")
	}
	var refs []string
	for _, t := range q["t"] {
		ref, err := normalize(t)
		if err != nil {
			return reply{}, serverError("%v", err)
		}
		refs = append(refs, ref)
	}
	kit := q.Get("version") == "2"
	b := builder{e: c.e, quiet: c.flag("q") || kit, target: q.Get("target"), args: map[string]string{}, stages: map[string]*image{}}
	if err := b.options(q.Get("buildargs"), q.Get("labels")); err != nil {
		return reply{}, err
	}
	files, err := readContext(c.req.Body)
	if err != nil {
		return reply{}, err
	}
	b.files = files
	name := q.Get("dockerfile")
	if name == "" {
		name = "Dockerfile"
	}
	src, ok := files.text(name)
	if !ok {
		return reply{}, serverError("Cannot locate specified Dockerfile: %s", name)
	}
	if strings.TrimSpace(src) == "" {
		return reply{}, badRequest("the Dockerfile (%s) cannot be empty", name)
	}
	steps, err := parseDockerfile(src)
	if err != nil {
		if rest, ok := strings.CutPrefix(err.Error(), state.NotModelled); ok {
			return reply{}, notModelled("%s", rest)
		}
		return reply{}, badRequest("%v", err)
	}
	if len(steps) == 0 {
		return reply{}, badRequest("file with no instructions")
	}

	b.now = c.timeline.Lock()
	defer c.timeline.Unlock()
	c.now = b.now
	i, err := b.run(steps)
	if err != nil {
		var api *apiError
		if errors.As(err, &api) && api.status == http.StatusNotImplemented {
			return reply{}, err
		}
		streamError(&b.out, err.Error())
		return reply{status: http.StatusOK, ctype: jsonType, body: b.out.Bytes()}, nil
	}
	switch {
	case kit: // its steps are told in a way of their own, and left out here
		b.out.Reset()
		fmt.Fprintf(&b.out, "{\"id\":\"moby.image.id\",\"aux\":{\"ID\":%q}}\r\n", i.id)
	case b.quiet:
		b.out.Reset()
		streamLine(&b.out, i.id+"\n")
	default:
		fmt.Fprintf(&b.out, "{\"aux\":{\"ID\":%q}}\r\n", i.id)
		streamLine(&b.out, "Successfully built "+short(i.id)+"\n")
	}
	for _, ref := range refs {
		c.e.tag(c.now, ref, i.id)
		if !b.quiet {
			streamLine(&b.out, "Successfully tagged "+ref+"\n")
		}
	}
	return reply{status: http.StatusOK, ctype: jsonType, body: b.out.Bytes()}, nil
}

// builder is one build.
type builder struct {
	e      *Engine
	now    time.Time
	out    bytes.Buffer
	quiet  bool
	target string
	labels map[string]string
	given  map[string]string // --build-arg
	files  buildContext
	stages map[string]*image // by name and number

	// The stage that is being built.
	args    map[string]string // ARG and ENV in force
	config  *container.Config
	layers  []*layer
	history []historyEntry
	base    *image
	known   bool   // whether all files of the image are known
	cmdSet  bool   // CMD stands in this stage
	key     string // what the image is derived from so far
}

func (b *builder) options(buildargs, labels string) error {
	b.given = map[string]string{}
	if buildargs != "" {
		var given map[string]*string
		if err := json.Unmarshal([]byte(buildargs), &given); err != nil {
			return badRequest("error reading build args: %v", err)
		}
		for k, v := range given {
			if v != nil {
				b.given[k] = *v
			}
		}
	}
	if labels != "" {
		if err := json.Unmarshal([]byte(labels), &b.labels); err != nil {
			return badRequest("error reading labels: %v", err)
		}
	}
	return nil
}

// run does every step and returns the image of the last stage.
func (b *builder) run(steps []instruction) (*image, error) {
	total := len(steps)
	var before map[string]string // ARG before the first FROM
	var done *image
	stage := -1
	for n, s := range steps {
		streamLine(&b.out, fmt.Sprintf("Step %d/%d : %s", n+1, total, s.text()))
		streamLine(&b.out, "\n")
		if s.cmd == "FROM" {
			if b.config != nil {
				if done = b.finish(stage); b.target != "" && b.stages[b.target] == done {
					break
				}
			} else {
				before = b.args
			}
			stage++
			if err := b.from(s, stage, before); err != nil {
				return nil, err
			}
			streamLine(&b.out, " ---> "+short(b.baseID())+"\n")
			continue
		}
		if b.config == nil && s.cmd != "ARG" {
			return nil, errors.New("no build stage in current context")
		}
		if err := b.step(s); err != nil {
			return nil, err
		}
		if b.config != nil {
			b.key = hexSum([]byte(b.key + "\n" + expand(s.text(), b.args)))
			streamLine(&b.out, " ---> "+b.key[:12]+"\n")
		}
	}
	if b.config == nil {
		return nil, serverError("No build stage in current context")
	}
	if b.target != "" && b.stages[b.target] != nil {
		return b.stages[b.target], nil
	}
	if b.target != "" {
		return nil, fmt.Errorf("failed to reach build target %s in Dockerfile", b.target)
	}
	if b.base == nil && len(b.history) == 0 && len(b.labels) == 0 {
		return nil, serverError("No image was generated. Is your Dockerfile empty?")
	}
	return b.finish(stage), nil
}

func (b *builder) baseID() string {
	if b.base == nil {
		return ""
	}
	return b.base.id
}

// from begins a stage.
func (b *builder) from(s instruction, stage int, before map[string]string) error {
	parts := words(s.rest)
	name := expand(parts[0], before)
	b.args, b.layers, b.history, b.base, b.cmdSet = map[string]string{}, nil, nil, nil, false
	b.config, b.known = &container.Config{Env: []string{engineapi.DefaultPath}}, true
	b.key = "scratch"
	alias := fmt.Sprint(stage)
	if len(parts) == 3 && strings.EqualFold(parts[1], "AS") {
		alias = strings.ToLower(parts[2])
	}
	b.stages[fmt.Sprint(stage)+"/name"] = &image{id: alias}
	if name == "scratch" {
		return nil
	}
	base := b.stages[strings.ToLower(name)]
	if base == nil {
		var err error
		if base, err = b.e.findImage(name); err != nil {
			repo, _, _ := strings.Cut(name, ":")
			return fmt.Errorf("pull access denied for %s, repository does not exist or may require 'docker login': denied: requested access to the resource is denied", repo)
		}
	}
	b.base, b.key, b.layers, b.history = base, base.id, slices.Clone(base.layers), slices.Clone(base.history)
	cfg := *base.config
	cfg.Env = slices.Clone(cfg.Env)
	cfg.Labels = maps.Clone(cfg.Labels)
	cfg.ExposedPorts = maps.Clone(cfg.ExposedPorts)
	cfg.Volumes = maps.Clone(cfg.Volumes)
	b.config = &cfg
	for _, env := range cfg.Env {
		k, v, _ := strings.Cut(env, "=")
		b.args[k] = v
	}
	_, b.known = base.hasFile("/")
	return nil
}

// finish makes the stage's image, or finds it when it was built before.
func (b *builder) finish(stage int) *image {
	if len(b.labels) > 0 {
		names := make([]string, 0, len(b.labels))
		for k := range b.labels {
			names = append(names, k)
		}
		sort.Strings(names)
		if b.config.Labels == nil {
			b.config.Labels = map[string]string{}
		}
		for _, k := range names {
			b.config.Labels[k] = b.labels[k]
			b.key = hexSum([]byte(b.key + "\nLABEL " + k + "=" + b.labels[k]))
		}
	}
	digest := "sha256:" + hexSum([]byte("build "+b.key))
	id := b.e.storeID(digest)
	i := b.e.images[id]
	if i == nil {
		i = &image{
			id: id, digest: digest, config: b.config, created: b.now, history: b.history, layers: b.layers, tagged: b.now,
		}
		if b.base != nil {
			i.parent = b.base.id
		}
		if err := i.seal(); err != nil {
			panic("sim: encode an image: " + err.Error()) // strings and maps of strings
		}
		b.e.put(i)
		i = b.e.images[id]
	}
	alias := b.stages[fmt.Sprint(stage)+"/name"].id
	b.stages[fmt.Sprint(stage)], b.stages[alias] = i, i
	return i
}
