package docker

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func secretFuncs() []runtime.Func {
	return []runtime.Func{
		{
			Name: "secrets", Class: runtime.Read,
			Doc:  "Lists the swarm's secrets by name. Their values cannot be read.",
			From: "GET /secrets", Returns: "the secrets",
			Raises: reads(), Example: `for _, s in ipairs(docker.secrets()) do log(s.name) end`,
			Call: runtime.Effect((*Engine).secrets),
		},
		{
			Name: "secret_create", Class: runtime.Write,
			Doc: "Creates a secret of the swarm, for services to read as a file. It cannot be changed later: a new value gets a new name. " +
				"An existing one of that name is a conflict.",
			From: "POST /secrets/create", Returns: "the secret",
			Raises:  writes(failure.Invalid, failure.Conflict),
			Example: `docker.secret_create("db-password-2", secret("db_password"))`,
			Call:    runtime.Effect((*Engine).secretCreate),
		},
		{
			Name: "secret_remove", Class: runtime.Destructive,
			Doc:  "Removes a secret. One that a service uses is refused.",
			From: "DELETE /secrets/{id}", Returns: "nothing",
			Raises: writes(failure.Invalid, failure.NotFound, failure.Conflict), Example: `docker.secret_remove("db-password-1", {missing_ok = true})`,
			Call: runtime.Effect((*Engine).secretRemove),
		},
		{
			Name: "configs", Class: runtime.Read,
			Doc:  "Lists the swarm's configs by name.",
			From: "GET /configs", Returns: "the configs",
			Raises: reads(), Example: `for _, c in ipairs(docker.configs()) do log(c.name .. ": " .. #c.data .. " bytes") end`,
			Call: runtime.Effect((*Engine).configs),
		},
		{
			Name: "config_create", Class: runtime.Write,
			Doc: "Creates a config of the swarm, for services to read as a file. It cannot be changed later: a new content gets a new name. " +
				"An existing one of that name with the same content is left unchanged.",
			From: "POST /configs/create", Returns: "the config",
			Raises:  writes(failure.Invalid, failure.Conflict),
			Example: `docker.config_create("app-conf-2", "threads = 4\n")`,
			Call:    runtime.Effect((*Engine).configCreate),
		},
		{
			Name: "config_remove", Class: runtime.Destructive,
			Doc:  "Removes a config. One that a service uses is refused.",
			From: "DELETE /configs/{id}", Returns: "nothing",
			Raises: writes(failure.Invalid, failure.NotFound, failure.Conflict), Example: `docker.config_remove("app-conf-1", {missing_ok = true})`,
			Call: runtime.Effect((*Engine).configRemove),
		},
	}
}

// SwarmSecret is a secret of the swarm as recipes see it.
type SwarmSecret struct {
	ID      string            `lua:"id" doc:"its ID"`
	Name    string            `lua:"name" doc:"its name"`
	Labels  map[string]string `lua:"labels" doc:"its labels"`
	Created time.Time         `lua:"created" doc:"when it was created, in seconds since 1970"`
}

// SwarmConfig is a config of the swarm as recipes see it.
type SwarmConfig struct {
	ID      string            `lua:"id" doc:"its ID"`
	Name    string            `lua:"name" doc:"its name"`
	Data    string            `lua:"data" doc:"what it holds, byte for byte"`
	Labels  map[string]string `lua:"labels" doc:"its labels"`
	Created time.Time         `lua:"created" doc:"when it was created, in seconds since 1970"`
}

func (e *Engine) secrets(ctx context.Context, _ *runtime.None) (list []*SwarmSecret, err error) {
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		found, err := c.SecretList(ctx, swarm.SecretListOptions{})
		for _, s := range found {
			list = append(list, &SwarmSecret{s.ID, s.Spec.Name, s.Spec.Labels, s.CreatedAt})
		}
		return err
	})
	slices.SortFunc(list, func(a, b *SwarmSecret) int { return cmp.Compare(a.Name, b.Name) })
	return list, err
}

func (e *Engine) configs(ctx context.Context, _ *runtime.None) (list []*SwarmConfig, err error) {
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		found, err := c.ConfigList(ctx, swarm.ConfigListOptions{})
		for _, s := range found {
			list = append(list, &SwarmConfig{s.ID, s.Spec.Name, string(s.Spec.Data), s.Spec.Labels, s.CreatedAt})
		}
		return err
	})
	slices.SortFunc(list, func(a, b *SwarmConfig) int { return cmp.Compare(a.Name, b.Name) })
	return list, err
}

// secretNamed returns one, or an error of the kind not_found.
func (e *Engine) secretNamed(ctx context.Context, name string) (*SwarmSecret, error) {
	list, err := e.secrets(ctx, nil)
	return pick(list, err, "secret", name, func(s *SwarmSecret) bool { return s.Name == name || s.ID == name })
}

// configNamed returns one, or an error of the kind not_found.
func (e *Engine) configNamed(ctx context.Context, name string) (*SwarmConfig, error) {
	list, err := e.configs(ctx, nil)
	return pick(list, err, "config", name, func(c *SwarmConfig) bool { return c.Name == name || c.ID == name })
}

func pick[T any](list []*T, err error, kind, name string, is func(*T) bool) (*T, error) {
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i], nil
	}
	return nil, failure.New(failure.NotFound, "there is no %s %s", kind, name).WithHint("docker.%s_create(%q, ...) makes one", kind, name)
}

type secretCreateArgs struct {
	Name   string            `lua:"name,pos,required,target" doc:"its name"`
	Data   runtime.Secret    `lua:"data,pos,required" doc:"what it holds, at most 500 kB"`
	Labels map[string]string `lua:"labels" doc:"labels"`
}

func (a *secretCreateArgs) Validate() error { return checkVolume("name", a.Name) }

func (e *Engine) secretCreate(ctx context.Context, a *secretCreateArgs) (*SwarmSecret, error) {
	// Looked for first: when the reply is lost, one that is there is this one.
	if _, err := e.secretNamed(ctx, a.Name); !isKind(err, failure.NotFound) {
		if err == nil {
			err = failure.New(failure.Conflict, "the secret %s is there already", a.Name).
				WithHint("a secret cannot be read or changed: give the new one a name of its own")
		}
		return nil, err
	}
	err := e.change(ctx, func(ctx context.Context, c *client.Client) error {
		_, err := c.SecretCreate(ctx, swarm.SecretSpec{
			Annotations: swarm.Annotations{Name: a.Name, Labels: a.Labels}, Data: []byte(a.Data.Reveal()),
		})
		return err
	}, there(a.Name, func(ctx context.Context) error {
		_, err := e.secretNamed(ctx, a.Name)
		return err
	}))
	if err != nil {
		return nil, err
	}
	return e.secretNamed(ctx, a.Name)
}

// there settles whether a thing that can be made once was made.
func there(name string, get func(context.Context) error) look {
	return func(ctx context.Context) (bool, string, error) {
		err := get(ctx)
		if isKind(err, failure.NotFound) {
			return false, "there is no " + name, nil
		}
		return err == nil, "", err
	}
}

type swarmThingArgs struct {
	Name      string `lua:"name,pos,required,target" doc:"its name or ID"`
	MissingOK bool   `lua:"missing_ok" doc:"do nothing when there is none, instead of raising not_found"`
}

func (a *swarmThingArgs) Validate() error { return checkRef("name", a.Name) }

func (e *Engine) secretRemove(ctx context.Context, a *swarmThingArgs) (runtime.None, error) {
	get := func(ctx context.Context) error { _, err := e.secretNamed(ctx, a.Name); return err }
	return e.removeThing(ctx, a, get, func(ctx context.Context, c *client.Client) error { return c.SecretRemove(ctx, a.Name) })
}

func (e *Engine) configRemove(ctx context.Context, a *swarmThingArgs) (runtime.None, error) {
	get := func(ctx context.Context) error { _, err := e.configNamed(ctx, a.Name); return err }
	return e.removeThing(ctx, a, get, func(ctx context.Context, c *client.Client) error { return c.ConfigRemove(ctx, a.Name) })
}

// removeThing removes what get finds.
func (e *Engine) removeThing(ctx context.Context, a *swarmThingArgs, get func(context.Context) error, remove func(context.Context, *client.Client) error) (runtime.None, error) {
	err := e.change(ctx, remove, gone(a.Name, get))
	if a.MissingOK && isKind(err, failure.NotFound) {
		effect.Unaltered(ctx)
		return runtime.None{}, nil
	}
	if known := failure.As(err); known != nil && strings.Contains(known.Message, "is in use by") {
		used := *known
		used.Kind, used.Hint = failure.Conflict, "take it from the service first"
		return runtime.None{}, &used
	}
	return runtime.None{}, err
}

type configCreateArgs struct {
	Name   string            `lua:"name,pos,required,target" doc:"its name"`
	Data   []byte            `lua:"data,pos,required" doc:"what it holds, at most 500 kB"`
	Labels map[string]string `lua:"labels" doc:"labels"`
}

func (a *configCreateArgs) Validate() error { return checkVolume("name", a.Name) }

func (e *Engine) configCreate(ctx context.Context, a *configCreateArgs) (*SwarmConfig, error) {
	was, err := e.configNamed(ctx, a.Name)
	switch {
	case err == nil && was.Data == string(a.Data):
		effect.Unaltered(ctx)
		return was, nil
	case err == nil:
		return nil, failure.New(failure.Conflict, "the config %s is there, and holds something else", a.Name).
			WithHint("a config cannot be changed: give the new one a name of its own")
	case !isKind(err, failure.NotFound):
		return nil, err
	}
	err = e.change(ctx, func(ctx context.Context, c *client.Client) error {
		_, err := c.ConfigCreate(ctx, swarm.ConfigSpec{Annotations: swarm.Annotations{Name: a.Name, Labels: a.Labels}, Data: a.Data})
		return err
	}, there(a.Name, func(ctx context.Context) error {
		_, err := e.configNamed(ctx, a.Name)
		return err
	}))
	if err != nil {
		return nil, err
	}
	return e.configNamed(ctx, a.Name)
}
