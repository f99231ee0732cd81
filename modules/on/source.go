package on

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/mepc/mepc-run/runtime"
)

// Source is one of *Webhook, *Image, *Engine, *Archive, *Redis, *Schedule: what a recipe
// has written, checked.
type Source interface {
	Kind() string     // webhook, image, engine, archive, redis, schedule
	String() string   // in a few words, such as "image mepc/app:*"
	given() *Given    // which parameters the recipe gets
	usual() []string  // the fields of its events that it gives unless told; nil: those that the recipe declares
	fields() []string // all fields of its events; nil: any
}

// Given says which parameters an event gives a recipe.
type Given struct {
	Params   map[string]runtime.Value `lua:"params" doc:"parameters that are always given, by name"`
	Coalesce bool                     `lua:"coalesce" doc:"while it waits, a later event's run of the same recipe and app may take its place"`
	Fields   map[string]string        `lua:"fields" doc:"which field of the event each parameter is; the default is the field of the same name"`
}

func (g *Given) given() *Given { return g }

// Webhook is a request to the server.
type Webhook struct {
	Secret  string                   `lua:"secret" doc:"the name of the secret that signs requests (X-Hub-Signature-256), as --secret declares it; without one a request needs the server's token in its Authorization header"`
	Match   map[string]runtime.Value `lua:"match" doc:"which events start the recipe: fields, as in fields, and the value that each must have, or a list of values; others are answered, and start nothing"`
	Repeats bool                     `lua:"repeats" doc:"a signed body that came before starts the recipe once more; without it, it is answered with the request of then, whatever its delivery is called: what was signed once can be sent again by anyone who saw it"`
	Given
}

// Image is a tag on the engine.
type Image struct {
	Name string `lua:"name,required" doc:"which tags: * stands for any text but /, ? for a character, [a-z] for one of several; without a tag all tags"`
	Given
}

// Engine is a restart of the engine.
type Engine struct {
	Given
}

// Archive is a file in a directory.
type Archive struct {
	Dir   string `lua:"dir,required" doc:"the directory, from the one that is served"`
	Match string `lua:"match" default:"*.tar" doc:"which names, as for on.image"`
	Given
}

// Redis is a message.
type Redis struct {
	Channel string `lua:"channel" doc:"the channel; either this or stream"`
	Stream  string `lua:"stream" doc:"the stream's key"`
	Group   string `lua:"group" doc:"the stream's consumer group, mepc-run unless another is named; it is made when it is not there, and begins with what comes from then on"`
	Ack     string `lua:"ack" enum:"queued|ended" default:"queued" doc:"when a stream's entry is acknowledged: as soon as its run is sure to happen on this server, or when that has ended; until then another server of the group takes it over, and runs the recipe anew, that has seen nothing of this one for 30 s"`
	Given
}

// Schedule is a time.
type Schedule struct {
	Cron string `lua:"cron,required" doc:"when, such as 0 4 * * *"`
	Zone string `lua:"zone" default:"UTC" doc:"the time zone, such as Europe/Berlin; Local is the server's"`
	Given
}

// Kind implements Source.
func (*Webhook) Kind() string  { return "webhook" }
func (*Image) Kind() string    { return "image" }    // Kind implements Source.
func (*Engine) Kind() string   { return "engine" }   // Kind implements Source.
func (*Archive) Kind() string  { return "archive" }  // Kind implements Source.
func (*Redis) Kind() string    { return "redis" }    // Kind implements Source.
func (*Schedule) Kind() string { return "schedule" } // Kind implements Source.

func (w *Webhook) String() string {
	text := "webhook"
	if w.Secret != "" {
		text += " signed with the secret " + w.Secret
	}
	for i, field := range slices.Sorted(maps.Keys(w.Match)) {
		word := ", where "
		if i > 0 {
			word = " and "
		}
		text += word + field + " is " + listed(w.Match[field])
	}
	return text
}

// listed writes a value of match.
func listed(v runtime.Value) string {
	list, ok := v.([]runtime.Value)
	if !ok {
		list = []runtime.Value{v}
	}
	var texts []string
	for _, one := range list {
		texts = append(texts, fmt.Sprint(one))
	}
	return strings.Join(texts, " or ")
}

func (i *Image) String() string   { return "image " + i.Name }
func (*Engine) String() string    { return "engine" }
func (a *Archive) String() string { return "archive " + path.Join(a.Dir, a.Match) }

func (r *Redis) String() string {
	if r.Stream != "" {
		return "redis stream " + r.Stream + ", group " + r.Group
	}
	return "redis channel " + r.Channel
}

func (s *Schedule) String() string { return "schedule " + s.Cron + " (" + s.Zone + ")" }

func (*Webhook) usual() []string  { return nil }
func (*Image) usual() []string    { return []string{"image"} }
func (*Engine) usual() []string   { return []string{"app"} }
func (*Archive) usual() []string  { return []string{"archive"} }
func (*Redis) usual() []string    { return nil }
func (*Schedule) usual() []string { return []string{} }

func (*Webhook) fields() []string  { return nil }
func (*Image) fields() []string    { return []string{"image", "repository", "tag"} }
func (*Engine) fields() []string   { return []string{"app"} }
func (*Archive) fields() []string  { return []string{"archive", "name"} }
func (*Redis) fields() []string    { return nil }
func (*Schedule) fields() []string { return []string{"time"} }

// Validate refuses values that no field can have.
func (w *Webhook) Validate() error {
	for _, field := range slices.Sorted(maps.Keys(w.Match)) {
		list, ok := w.Match[field].([]runtime.Value)
		if !ok {
			list = []runtime.Value{w.Match[field]}
		}
		for _, v := range list {
			switch v.(type) {
			case string, float64, bool:
			default:
				return fmt.Errorf("match.%s: a string, a number, a boolean or a list of them expected", field)
			}
		}
	}
	return nil
}

// Differs says which field of an event is not as match wants it; "": none.
func (w *Webhook) Differs(event map[string]any) string {
	for _, field := range slices.Sorted(maps.Keys(w.Match)) {
		got, want := at(event, field), w.Match[field]
		list, ok := want.([]runtime.Value)
		if !ok {
			list = []runtime.Value{want}
		}
		switch got.(type) {
		case string, float64, bool:
			if slices.Contains(list, got) {
				continue
			}
		}
		return fmt.Sprintf("its %s is not %s", field, listed(want))
	}
	return ""
}

// Validate refuses a pattern that matches nothing.
func (i *Image) Validate() error {
	if strings.ContainsAny(i.Name, " \t") || i.Name == "" {
		return fmt.Errorf("name: %q is no name of an image", i.Name)
	}
	if !strings.Contains(path.Base(i.Name), ":") {
		i.Name += ":*"
	}
	return pattern("name", i.Name)
}

// Validate refuses a pattern that matches nothing.
func (a *Archive) Validate() error {
	if a.Dir == "" {
		return fmt.Errorf("dir: it is empty")
	}
	if strings.Contains(a.Match, "/") || a.Match == "" {
		return fmt.Errorf("match: %q is matched against names of files, which have no /", a.Match)
	}
	return pattern("match", a.Match)
}

func pattern(option, text string) error {
	if _, err := path.Match(text, ""); err != nil {
		return fmt.Errorf("%s: %q is no pattern: a [ is not closed, or is empty", option, text)
	}
	return nil
}

// Validate takes a channel or a stream.
func (r *Redis) Validate() error {
	switch {
	case (r.Channel == "") == (r.Stream == ""):
		return fmt.Errorf("channel: name a channel or a stream, one of them")
	case r.Channel != "" && r.Group != "":
		return fmt.Errorf("group: a channel has none: that is for streams")
	case r.Channel != "" && r.Ack != "queued":
		return fmt.Errorf("ack: a channel's messages are not acknowledged: that is for streams")
	case r.Stream != "" && r.Group == "":
		r.Group = "mepc-run"
	}
	return nil
}

// Validate refuses a time that never comes.
func (s *Schedule) Validate() error {
	when, err := s.parse()
	if err != nil {
		return err
	}
	if _, every := when.(cron.ConstantDelaySchedule); !every && when.Next(time.Unix(0, 0)).IsZero() {
		return fmt.Errorf("cron: %q never comes", s.Cron)
	}
	return nil
}

// Next returns when it is due after t.
func (s *Schedule) Next(t time.Time) time.Time {
	when, err := s.parse()
	if err != nil {
		panic("on: a schedule that was not validated: " + err.Error())
	}
	return when.Next(t)
}

func (s *Schedule) parse() (cron.Schedule, error) {
	zone, err := time.LoadLocation(s.Zone)
	if err != nil || s.Zone == "" {
		return nil, fmt.Errorf("zone: %q is no time zone that this machine knows: name one such as Europe/Berlin", s.Zone)
	}
	if strings.Contains(s.Cron, "TZ=") {
		return nil, fmt.Errorf("cron: the time zone stands in zone")
	}
	when, err := cron.ParseStandard(s.Cron)
	if err != nil {
		return nil, fmt.Errorf("cron: %q: %w", s.Cron, err)
	}
	if spec, ok := when.(*cron.SpecSchedule); ok {
		spec.Location = zone
	}
	return when, nil
}
