package engine

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// blobKind is one of the two kinds of named bytes that a swarm keeps for its
// services. They differ in that nobody gets a secret back.
type blobKind string

const (
	aSecret blobKind = "secret"
	aConfig blobKind = "config"
)

// addBlob keeps one.
func (e *Engine) addBlob(kind blobKind, spec swarm.ConfigSpec, now time.Time) *swarm.Config {
	if kind == aSecret {
		spec.Data = nil
	}
	b := &swarm.Config{
		ID: e.swarmID(string(kind), spec.Name), Meta: swarm.Meta{Version: e.cluster.version(), CreatedAt: now, UpdatedAt: now}, Spec: spec,
	}
	e.cluster.blobs[kind][b.ID] = b
	return b
}

// blob returns the one of a name or an ID, or nil.
func (k *cluster) blob(kind blobKind, ref string) *swarm.Config {
	for id, b := range k.blobs[kind] {
		if id == ref || b.Spec.Name == ref {
			return b
		}
	}
	return nil
}

// users returns the names of the services that read one.
func (k *cluster) users(kind blobKind, id string) (names []string) {
	for _, s := range k.ordered() {
		c := s.spec.TaskTemplate.ContainerSpec
		if kind == aSecret && slices.ContainsFunc(c.Secrets, func(r *swarm.SecretReference) bool { return r.SecretID == id }) ||
			kind == aConfig && slices.ContainsFunc(c.Configs, func(r *swarm.ConfigReference) bool { return r.ConfigID == id }) {
			names = append(names, s.spec.Name)
		}
	}
	return names
}

func blobList(kind blobKind) handler {
	return func(c *call) (reply, error) {
		k, err := c.managed()
		if err != nil {
			return reply{}, err
		}
		list := []*swarm.Config{}
		for _, id := range slices.Sorted(maps.Keys(k.blobs[kind])) {
			list = append(list, k.blobs[kind][id])
		}
		return jsonReply(http.StatusOK, list)
	}
}

func blobCreate(kind blobKind) handler {
	return func(c *call) (reply, error) {
		k, err := c.managed()
		if err != nil {
			return reply{}, err
		}
		var spec swarm.ConfigSpec
		if err := c.decode(&spec); err != nil {
			return reply{}, err
		}
		if k.blob(kind, spec.Name) != nil {
			return reply{}, conflict("rpc error: code = AlreadyExists desc = %s %s already exists", kind, spec.Name)
		}
		return jsonReply(http.StatusCreated, struct{ ID string }{c.e.addBlob(kind, spec, c.now).ID})
	}
}

func blobRemove(kind blobKind) handler {
	return func(c *call) (reply, error) {
		k, err := c.managed()
		if err != nil {
			return reply{}, err
		}
		b := k.blob(kind, c.name)
		if b == nil {
			return reply{}, notFound("%s %s not found", kind, c.name)
		}
		if users := k.users(kind, b.ID); len(users) > 0 {
			return reply{}, badRequest("rpc error: code = InvalidArgument desc = %s '%s' is in use by the following service: %s", kind, b.Spec.Name, users[0])
		}
		delete(k.blobs[kind], b.ID)
		return noContent, nil
	}
}
