// Package slack tells a channel what is deployed. Start with Module.
package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"

	mepc "github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// Module is the table of functions that recipes call.
func Module() mepc.Module {
	return mepc.Module{
		Name: "slack", Doc: "Tells a channel what is deployed.",
		Self: mepc.PerRun(func(a servers.Access) *client { return &client{a} }),
		Funcs: []mepc.Func{
			{
				Name: "post", Class: mepc.Write, Doc: "Says something in a channel.",
				Raises:  []mepc.Kind{mepc.Unavailable, mepc.Refused, mepc.Unknown},
				Example: `slack.post("https://hooks.slack.com/services/T0/B0", "deployed")`,
				Call:    mepc.Effect((*client).post),
			},
			{
				Name: "topic", Class: mepc.Read, Doc: "Reads a channel's topic.",
				Returns: "the topic", Raises: []mepc.Kind{mepc.Unavailable, mepc.Refused},
				Example: `print(slack.topic("https://hooks.slack.com/services/T0/B0"))`,
				Call:    mepc.Effect((*client).topic),
			},
		},
	}
}

// client is a run's. All that it reaches comes of servers.Access, so that it is
// rehearsed like docker and redis.
type client struct{ servers servers.Access }

type postArgs struct {
	Channel string `lua:"channel,pos,required,target" doc:"the channel's URL"`
	Text    string `lua:"text,pos,required" doc:"what is said"`
}

func (c *client) post(ctx context.Context, a *postArgs) (mepc.None, error) {
	body, err := json.Marshal(map[string]string{"text": a.Text})
	if err == nil {
		_, err = c.send(ctx, http.MethodPost, a.Channel, body)
	}
	return mepc.None{}, err
}

type topicArgs struct {
	Channel string `lua:"channel,pos,required,target" doc:"the channel's URL"`
}

func (c *client) topic(ctx context.Context, a *topicArgs) (string, error) {
	return c.send(ctx, http.MethodGet, a.Channel, nil)
}

func (c *client) send(ctx context.Context, method, url string, body []byte) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return "", &mepc.Error{Kind: mepc.Invalid, Message: "the channel is not a URL"}
	}
	resp, err := servers.Send(&http.Client{Transport: c.servers.Transport()}, req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", &mepc.Error{Kind: mepc.Refused, Message: "slack answers " + resp.Status}
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return string(text), err
}
