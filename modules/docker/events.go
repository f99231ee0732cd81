package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func eventsFunc() runtime.Func {
	return runtime.Func{
		Name: "events", Class: runtime.Read,
		Doc: "Reads what happened on the engine in a time until now and, with wait, what happens from now on. It ends at max events or when the time is up, whichever is first. " +
			"An engine keeps few events, and none over a restart: to know what is true, look.",
		From: "GET /events", Returns: "the events, oldest first", Raises: reads(failure.Invalid),
		Example: `for _, ev in ipairs(docker.events{since = "10m", type = "container", event = "die"}) do log(ev.name) end`,
		Call:    runtime.Effect((*Engine).events),
	}
}

type eventsArgs struct {
	Since     time.Duration     `lua:"since" default:"0s" doc:"how far back to begin"`
	Wait      time.Duration     `lua:"wait" default:"0s" doc:"how long to wait for further ones"`
	Max       int               `lua:"max" default:"1000" min:"1" max:"100000" doc:"how many at most"`
	Type      string            `lua:"type" enum:"container|image|network|volume|daemon|plugin" doc:"what they are about"`
	Event     string            `lua:"event" doc:"what happened, such as start, die, health_status, pull"`
	Container string            `lua:"container,target" doc:"the container's name or ID"`
	Image     string            `lua:"image" doc:"the image's name or ID; a container's events count for its image"`
	Labels    map[string]string `lua:"labels" doc:"labels that what they are about has; an empty value stands for any"`
}

func (a *eventsArgs) Validate() error {
	if a.Since == 0 && a.Wait == 0 {
		return errors.New("neither since nor wait is given: nothing is left to read")
	}
	if a.Container != "" {
		return checkRef("container", a.Container)
	}
	return nil
}

// Op bounds the call by its own option.
func (a *eventsArgs) Op(op *effect.Op) { op.Timeout += a.Wait }

// Event is something that happened on an engine.
type Event struct {
	Time       time.Time         `lua:"time" doc:"when, in seconds since 1970"`
	Type       string            `lua:"type" doc:"what it is about: container, image, network, volume ..."`
	Action     string            `lua:"action" doc:"what happened, such as start or die"`
	ID         string            `lua:"id" doc:"of what it is about"`
	Name       string            `lua:"name" doc:"its name, where it has one"`
	Attributes map[string]string `lua:"attributes" doc:"what else the engine says, such as exitCode and the labels"`
}

func (e *Engine) events(ctx context.Context, a *eventsArgs) ([]Event, error) {
	now := e.world.Clock().Now()
	stamp := func(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }
	f := labelFilter(a.Labels)
	for name, value := range map[string]string{"type": a.Type, "event": a.Event, "container": a.Container, "image": a.Image} {
		if value != "" {
			f.Add(name, value)
		}
	}
	list := []Event{}
	err := e.read(ctx, func(ctx context.Context, c *client.Client) error {
		ctx, stop := context.WithCancel(ctx) // ends the client's goroutine
		defer stop()
		happened, failed := c.Events(ctx, events.ListOptions{Since: stamp(now.Add(-a.Since)), Until: stamp(now.Add(a.Wait)), Filters: f})
		for len(list) < a.Max {
			select {
			case ev := <-happened:
				list = append(list, newEvent(ev))
			case err := <-failed:
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	effect.Note(ctx, fmt.Sprintf("%d events", len(list)))
	return list, nil
}

func newEvent(ev events.Message) Event {
	return Event{
		Time: time.Unix(0, ev.TimeNano), Type: string(ev.Type), Action: string(ev.Action), ID: ev.Actor.ID,
		Name: ev.Actor.Attributes["name"], Attributes: ev.Actor.Attributes,
	}
}
