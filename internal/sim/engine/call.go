package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/mepc/mepc-run/internal/sim/timeline"
)

// call is one request to an engine.
type call struct {
	e        *Engine
	timeline *timeline.Timeline
	ctx      context.Context
	req      *http.Request
	name     string // what stands for {} in the path
	query    url.Values
	now      time.Time // of a call that holds the lock
	terse    bool      // see Engine.Terse
}

// handler answers a call.
type handler func(*call) (reply, error)

// reply is an engine's answer.
type reply struct {
	status int
	ctype  string
	body   []byte
	stream io.ReadCloser // instead of body: read as it comes
	header map[string]string
}

const jsonType = "application/json"

// jsonReply encodes v as the engine does.
func jsonReply(status int, v any) (reply, error) { return jsonReplyWith(status, v, 0) }

// jsonReplyWith leaves room for more bytes.
func jsonReplyWith(status int, v any, more int) (reply, error) {
	var b bytes.Buffer
	b.Grow(1024 + more)
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return reply{}, err
	}
	return reply{status: status, ctype: jsonType, body: b.Bytes()}, nil
}

var noContent = reply{status: http.StatusNoContent}

// flag reads a boolean parameter: absent, "", 0, no, false and none are false.
func (c *call) flag(name string) bool {
	switch c.query.Get(name) {
	case "", "0", "no", "false", "none":
		return false
	}
	return true
}

// number reads an integer parameter.
func (c *call) number(name string, fallback int) (int, error) {
	s := c.query.Get(name)
	if s == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, serverError("%v", err)
	}
	return n, nil
}

// decode reads the JSON body into v.
func (c *call) decode(v any) error {
	body := c.req.Body
	if body == nil {
		body = http.NoBody
	}
	if err := json.NewDecoder(body).Decode(v); err != nil {
		return serverError("%v", err)
	}
	return nil
}
