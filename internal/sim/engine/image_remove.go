package engine

import (
	"net/http"
	"slices"
	"strings"

	"github.com/distribution/reference"
)

// removed is an element of the answer of DELETE /images/{}.
type removed struct {
	Untagged string `json:",omitempty"`
	Deleted  string `json:",omitempty"`
}

// imageRemove follows the engine's own steps: taking a reference away removes the
// image with its last one, if nothing uses it; an ID removes all of it.
func imageRemove(c *call) (reply, error) {
	force, prune := c.flag("force"), !c.flag("noprune")
	i, err := c.e.findImage(c.name)
	if err != nil {
		return reply{}, err
	}
	if strings.TrimSpace(c.name) == "" {
		return reply{}, badRequest("image name cannot be blank")
	}
	out := []removed{}
	byRef := !isIDPrefix(i.id, c.name)
	if byRef {
		ref, err := normalize(c.name)
		if err != nil {
			return reply{}, badRequest("%v", err)
		}
		if users := c.e.usersOf(i.id); !force && oneRepository(i.refs) && len(users) > 0 {
			return reply{}, conflict("conflict: unable to remove repository reference %q (must force) - container %s is using its referenced image %s",
				c.name, short(users[0].id), short(i.id))
		}
		c.e.untag(c, ref, i.id, &out)
		if len(c.e.images[i.id].refs) > 0 {
			return jsonReply(http.StatusOK, out)
		}
	} else if oneRepository(i.refs) {
		if err := c.e.imageConflict(i, !force, false); err != nil {
			return reply{}, err
		}
		for _, ref := range i.refs {
			c.e.untag(c, ref, i.id, &out)
		}
	}
	if err := c.e.deleteImage(c, i.id, force, prune, byRef, &out); err != nil {
		return reply{}, err
	}
	return jsonReply(http.StatusOK, out)
}

func (e *Engine) untag(c *call, ref, id string, out *[]removed) {
	e.unpoint(ref)
	*out = append(*out, removed{Untagged: ref})
	e.emit(event{at: c.now, kind: "image", action: "untag", id: id, attributes: map[string]string{"name": id}})
}

// deleteImage deletes an image and, with prune, its parents that nobody needs. A
// quiet one leaves the image when something uses it.
func (e *Engine) deleteImage(c *call, id string, force, prune, quiet bool, out *[]removed) error {
	i := e.images[id]
	if err := e.imageConflict(i, !force, !force); err != nil {
		if quiet && (len(i.refs) > 0 || e.hasChild(id) || len(e.usersOf(id)) > 0) {
			return nil
		}
		return err
	}
	for _, ref := range i.refs {
		e.untag(c, ref, id, out)
	}
	delete(e.images, id)
	e.emit(event{at: c.now, kind: "image", action: "delete", id: id, attributes: map[string]string{"name": id}})
	*out = append(*out, removed{Deleted: id})
	for _, chain := range slices.Backward(chainIDs(i.layers)) {
		if !e.hasChain(chain) {
			*out = append(*out, removed{Deleted: chain})
		}
	}
	if prune && i.parent != "" && e.images[i.parent] != nil && len(e.images[i.parent].refs) == 0 {
		return e.deleteImage(c, i.parent, false, true, true, out)
	}
	return nil
}

// imageConflict says why an image cannot be deleted. Running containers and
// children always forbid it, stopped containers and references as asked.
func (e *Engine) imageConflict(i *image, stopped, references bool) error {
	refuse := func(how, why string) error {
		return conflict("conflict: unable to delete %s (%s) - %s", short(i.id), how, why)
	}
	if e.hasChild(i.id) {
		return refuse("cannot be forced", "image has dependent child images")
	}
	users := e.usersOf(i.id)
	for _, u := range users {
		if u.running() {
			return refuse("cannot be forced", "image is being used by running container "+short(u.id))
		}
	}
	if references && len(i.refs) > 0 {
		return refuse("must be forced", "image is referenced in multiple repositories")
	}
	if stopped && len(users) > 0 {
		return refuse("must be forced", "image is being used by stopped container "+short(users[0].id))
	}
	return nil
}

// hasChain says whether an image has the layer with all that is below it.
func (e *Engine) hasChain(chain string) bool {
	for _, i := range e.images {
		if slices.Contains(chainIDs(i.layers), chain) {
			return true
		}
	}
	return false
}

// isIDPrefix says whether name is meant as an ID of the image.
func isIDPrefix(id, name string) bool {
	return strings.HasPrefix(id, name) || strings.HasPrefix(id[len("sha256:"):], name)
}

// oneRepository says whether all references are of one repository and at most one
// of them is a tag.
func oneRepository(refs []string) bool {
	if len(refs) <= 1 {
		return true
	}
	var first string
	tags := 0
	for _, r := range refs {
		named, err := reference.ParseNormalizedNamed(r)
		if err != nil {
			return false
		}
		if _, ok := named.(reference.Tagged); ok {
			tags++
		}
		if first == "" {
			first = named.Name()
		}
		if tags > 1 || named.Name() != first {
			return false
		}
	}
	return true
}

func imagePrune(c *call) (reply, error) {
	f, err := c.filters("dangling", "label", "until")
	if err != nil {
		return reply{}, err
	}
	if len(f["until"]) > 0 {
		return reply{}, notModelled("POST /images/prune with the filter until")
	}
	dangling := true
	if d, err := f.boolean("dangling"); err != nil {
		return reply{}, err
	} else if d != nil {
		dangling = *d
	}
	out := struct {
		ImagesDeleted  []removed
		SpaceReclaimed int64
	}{}
	for _, i := range c.e.orderedImages() {
		if c.e.images[i.id] == nil || dangling && len(i.refs) > 0 || len(c.e.usersOf(i.id)) > 0 || c.e.hasChild(i.id) || !f.labels(i.config.Labels) {
			continue
		}
		if err := c.e.deleteImage(c, i.id, true, true, true, &out.ImagesDeleted); err != nil {
			return reply{}, err
		}
		out.SpaceReclaimed += i.size()
	}
	return jsonReply(http.StatusOK, out)
}
