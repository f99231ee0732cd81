package engine

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
)

// commit makes an image of a container: its configuration, and the names of what
// was put into it.
func commit(c *call) (reply, error) {
	box, err := c.e.find(c.query.Get("container"))
	if err != nil {
		return reply{}, err
	}
	ref := ""
	if repo := c.query.Get("repo"); repo != "" {
		named, err := reference.ParseNormalizedNamed(repo)
		if err != nil {
			return reply{}, serverError("%v", refError(err))
		}
		if tag := c.query.Get("tag"); tag != "" {
			if named, err = reference.WithTag(reference.TrimNamed(named), tag); err != nil {
				return reply{}, serverError("%v", err)
			}
		}
		ref = reference.FamiliarString(reference.TagNameOnly(named))
	}
	cfg := *box.config
	cfg.Env, cfg.Labels = slices.Clone(cfg.Env), maps.Clone(cfg.Labels)
	cfg.ExposedPorts, cfg.Volumes = maps.Clone(cfg.ExposedPorts), maps.Clone(cfg.Volumes)
	if err := c.e.applyChanges(&cfg, c.query["changes"]); err != nil {
		return reply{}, err
	}
	i := &image{
		config: &cfg, created: c.now, parent: box.image.id, tagged: c.now, behaviour: box.image.behaviour,
		layers: slices.Clone(box.image.layers), history: slices.Clone(box.image.history),
	}
	l, err := textLayer(".rehearsed-commit", box.id+"\n")
	if err != nil {
		return reply{}, err
	}
	l.size = 0
	if _, known := box.image.hasFile("/"); known {
		l.files = map[string]bool{}
		for name, f := range box.files {
			l.files[name] = !f.mode.IsDir()
			l.size += int64(len(f.content))
		}
	} else {
		l.files = nil
	}
	i.layers = append(i.layers, l)
	i.history = append(i.history, historyEntry{Created: c.now, CreatedBy: strings.Join(box.argv(), " ")})
	i.digest = "sha256:" + c.e.newID("commit", box.id)
	i.id = c.e.storeID(i.digest)
	if err := i.seal(); err != nil {
		return reply{}, err
	}
	if box.status == running && c.query.Get("pause") != "0" {
		c.e.emitContainer(box, c.now, "pause")
		defer c.e.emitContainer(box, c.now, "unpause")
	}
	c.e.put(i)
	if ref != "" {
		c.e.tag(c.now, ref, i.id)
	}
	c.e.emitContainer(box, c.now, "commit", "comment", c.query.Get("comment"), "imageID", i.id, "imageRef", ref)
	return jsonReply(http.StatusCreated, struct {
		ID string `json:"Id"`
	}{i.id})
}

// changeable are the instructions that a commit takes.
var changeable = []string{"CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}

func (e *Engine) applyChanges(cfg *container.Config, changes []string) error {
	for _, line := range changes {
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !slices.Contains(changeable, strings.ToUpper(word)) {
			return badRequest("%s is not a valid change command", strings.ToLower(word))
		}
	}
	steps, err := parseDockerfile(strings.Join(changes, "\n"))
	if err != nil {
		return badRequest("%v", err)
	}
	b := &builder{e: e, args: map[string]string{}, config: cfg}
	for _, s := range steps {
		if err := b.step(s); err != nil {
			return err
		}
	}
	return nil
}
