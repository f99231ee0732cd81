package engine

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	typesimage "github.com/docker/docker/api/types/image"

	"github.com/mepc/mepc-run/internal/state"
)

// imageJSON is GET /images/{}/json.
type imageJSON struct {
	ID            string `json:"Id"`
	RepoTags      []string
	RepoDigests   []string
	Parent        string
	Comment       string
	Created       string
	DockerVersion string
	Author        string
	Config        *container.Config
	Architecture  string
	Os            string
	Size          int64
	VirtualSize   int64
	GraphDriver   graphDriver
	RootFS        struct {
		Type   string
		Layers []string `json:",omitempty"`
	}
	Metadata   struct{ LastTagTime time.Time }
	Descriptor map[string]any `json:",omitempty"` // of the containerd image store
}

type graphDriver struct {
	Data map[string]string
	Name string
}

func imageInspect(c *call) (reply, error) {
	i, err := c.e.findImage(c.name)
	if err != nil {
		api := err.(*apiError)
		return reply{}, fail(api.status, "no such image: %s: %s", c.name, api.message)
	}
	v := imageJSON{
		ID: i.id, RepoTags: notNil(i.refs), RepoDigests: []string{}, Parent: i.parent, Created: i.created.Format(time.RFC3339Nano),
		DockerVersion: c.e.version, Config: i.config, Architecture: cmp.Or(i.arch, "amd64"), Os: "linux", Size: i.size(), VirtualSize: i.size(),
		GraphDriver: graphDriver{Name: "overlay2"},
	}
	v.RootFS.Type, v.RootFS.Layers = "layers", diffIDs(i.layers)
	v.Metadata.LastTagTime = i.tagged
	if c.e.packs {
		v.GraphDriver.Name = "overlayfs"
		v.Descriptor = map[string]any{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": i.id, "size": 1}
	}
	return jsonReply(http.StatusOK, v)
}

func notNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func imageHistory(c *call) (reply, error) {
	i, err := c.e.findImage(c.name)
	if err != nil {
		return reply{}, err
	}
	out := []typesimage.HistoryResponseItem{}
	n := 0
	for k, h := range i.history {
		item := typesimage.HistoryResponseItem{ID: "<missing>", Created: h.Created.Unix(), CreatedBy: h.CreatedBy}
		if !h.EmptyLayer && n < len(i.layers) {
			item.Size = i.layers[n].size
			n++
		}
		if k == len(i.history)-1 {
			item.ID, item.Tags = i.id, i.refs
		}
		out = append(out, item)
	}
	slices.Reverse(out)
	return jsonReply(http.StatusOK, out)
}

// imageSummary is an element of GET /images/json.
type imageSummary struct {
	Containers  int
	Created     int64
	ID          string `json:"Id"`
	Labels      map[string]string
	ParentID    string `json:"ParentId"`
	RepoDigests []string
	RepoTags    []string
	SharedSize  int64
	Size        int64
	VirtualSize int64
}

func imageList(c *call) (reply, error) {
	f, err := c.filters("dangling", "label", "before", "since", "reference")
	if err != nil {
		return reply{}, err
	}
	dangling, err := f.boolean("dangling")
	if err != nil {
		return reply{}, err
	}
	var before, since *image
	for _, name := range f["before"] {
		if before, err = c.e.findImage(name); err != nil {
			return reply{}, err
		}
	}
	for _, name := range f["since"] {
		if since, err = c.e.findImage(name); err != nil {
			return reply{}, err
		}
	}
	out := []imageSummary{}
	for _, i := range c.e.orderedImages() {
		if before != nil && !i.created.Before(before.created) || since != nil && !i.created.After(since.created) {
			continue
		}
		if !f.labels(i.config.Labels) {
			continue
		}
		refs := i.refs
		if patterns := f["reference"]; len(patterns) > 0 {
			if refs, err = matchRefs(patterns, refs); err != nil {
				return reply{}, err
			}
			if len(refs) == 0 {
				continue
			}
		}
		s := imageSummary{
			Containers: -1, Created: i.created.Unix(), ID: i.id, Labels: i.config.Labels, ParentID: i.parent,
			RepoTags: refs, SharedSize: -1, Size: i.size(), VirtualSize: i.size(),
		}
		if len(i.refs) == 0 {
			if !c.flag("all") && c.e.hasChild(i.id) {
				continue
			}
			s.RepoDigests, s.RepoTags = []string{"<none>@<none>"}, []string{"<none>:<none>"}
		}
		if dangling != nil && *dangling != (len(i.refs) == 0) {
			continue
		}
		out = append(out, s)
	}
	return jsonReply(http.StatusOK, out)
}

func (e *Engine) hasChild(id string) bool {
	for _, i := range e.images {
		if i.parent == id {
			return true
		}
	}
	return false
}

// matchRefs returns the references that one of the patterns matches.
func matchRefs(patterns, refs []string) ([]string, error) {
	var out []string
	for _, r := range refs {
		named, err := reference.ParseNormalizedNamed(r)
		if err != nil {
			return nil, serverError("%v", err)
		}
		for _, p := range patterns {
			ok, err := reference.FamiliarMatch(p, named)
			if err != nil {
				return nil, serverError("%v", err)
			}
			if ok {
				out = append(out, r)
				break
			}
		}
	}
	return out, nil
}

func imageTag(c *call) (reply, error) {
	repo, tag := c.query.Get("repo"), c.query.Get("tag")
	i, err := c.e.findImage(c.name)
	if err != nil {
		return reply{}, err
	}
	named, err := reference.ParseNormalizedNamed(repo)
	if err != nil {
		return reply{}, serverError("%v", refError(err))
	}
	if tag != "" {
		if named, err = reference.WithTag(reference.TrimNamed(named), tag); err != nil {
			return reply{}, serverError("%v", err)
		}
	}
	ref := reference.FamiliarString(reference.TagNameOnly(named))
	c.e.tag(c.now, ref, i.id)
	return reply{status: http.StatusCreated}, nil
}

// tag gives the image a reference, and says so in an event.
func (e *Engine) tag(now time.Time, ref, id string) {
	if e.tags[ref] == id {
		e.silent--
	}
	e.point(ref, id)
	next := *e.images[id]
	next.tagged = now
	e.images[id] = &next
	e.emit(event{at: now, kind: "image", action: "tag", id: id, attributes: map[string]string{"name": ref}})
}

// imagePull answers from the fixtures: there is no registry.
func imagePull(c *call) (reply, error) {
	if c.query.Get("fromImage") == "" {
		return reply{}, notModelled("POST /images/create without fromImage")
	}
	from := c.query.Get("fromImage")
	if tag := c.query.Get("tag"); tag != "" {
		from += ":" + tag
		if strings.HasPrefix(tag, "sha256:") {
			return reply{}, notModelled("POST /images/create of a digest")
		}
	}
	ref, err := normalize(from)
	if err != nil {
		return reply{}, badRequest("%v", err)
	}
	repo, tag := state.SplitTag(ref)
	f := c.e.fixtures[ref]
	if f == nil || !f.Pullable {
		return reply{}, notFound("pull access denied for %s, repository does not exist or may require 'docker login': denied: requested access to the resource is denied", repo)
	}
	present := *f
	present.Absent = false
	i, err := c.e.newImage(&present, c.now)
	if err != nil {
		return reply{}, serverError("%v", err)
	}
	status := "Status: Image is up to date for " + ref
	if c.e.tags[ref] == i.id {
		c.e.silent--
	}
	if c.e.images[i.id] == nil {
		status = "Status: Downloaded newer image for " + ref
		c.e.put(i)
	} else {
		c.e.point(ref, i.id)
	}
	c.e.emit(event{at: c.now, kind: "image", action: "pull", id: ref, attributes: map[string]string{"name": repo}})
	lines := fmt.Sprintf(`{"status":"Pulling from %s","id":"%s"}`+"\r\n"+`{"status":"Digest: %s"}`+"\r\n"+`{"status":"%s"}`+"\r\n",
		repo, tag, i.id, status)
	return reply{status: http.StatusOK, ctype: jsonType, body: []byte(lines)}, nil
}

// usersOf returns the containers of an image, in a stable order.
func (e *Engine) usersOf(id string) []*ctr {
	var users []*ctr
	for _, c := range e.containers {
		if c.image.id == id {
			users = append(users, c)
		}
	}
	slices.SortFunc(users, compareAge)
	return users
}
