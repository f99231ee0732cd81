package serve

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/queue"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/modules/on"
)

// signature is the header of a body's HMAC-SHA256, as "sha256=" and hexadecimal
// digits; deliveries are those that name a request, so that it is taken once.
const signature = "X-Hub-Signature-256"

var deliveries = []string{"X-GitHub-Delivery", "X-Gitea-Delivery", "Webhook-Id", "X-Delivery-Id"}

// webhook takes a request for the on.webhook of a recipe that it is signed for; or,
// where that has no secret, that proves itself with the server's token.
func (s *Server) webhook(c *call) (any, error) {
	body, err := io.ReadAll(c.Body)
	if err != nil {
		return nil, err
	}
	r := s.opts.Recipes.Recipe(c.PathValue("name"))
	hook, err := s.signed(r, c.Request, body)
	if err != nil {
		return nil, err
	}
	event := map[string]any{}
	if err := json.Unmarshal(body, &event); err != nil {
		return nil, failure.New(failure.Invalid, "the body is no JSON object: %s", err)
	}
	delivery := ""
	for _, name := range deliveries {
		delivery = cmp.Or(delivery, c.Header.Get(name))
	}
	return s.fire(r, hook, event, delivery, "webhook@"+host(c.RemoteAddr))
}

// signed returns the webhook that a request is for. Whether there is such a recipe
// is told to nobody else.
func (s *Server) signed(r *reload.Recipe, req *http.Request, body []byte) (*on.Trigger, error) {
	given, err := hex.DecodeString(strings.TrimPrefix(req.Header.Get(signature), "sha256="))
	isSigned := err == nil && len(given) == sha256.Size
	if r != nil && r.Version != nil {
		for _, t := range r.Version.Triggers {
			hook, ok := t.Source.(*on.Webhook)
			switch {
			case !ok:
			case hook.Secret == "" && s.opts.Token != "" && s.authorized(req):
				return t, nil
			case hook.Secret != "" && isSigned:
				key, err := s.secret(hook.Secret)
				if err != nil {
					return nil, failure.New(failure.Unavailable, "the secret %s of the webhook cannot be read: %s", hook.Secret, err).
						WithHint("start the server with --secret %s=env:VARIABLE or file:PATH", hook.Secret)
				}
				mac := hmac.New(sha256.New, []byte(key))
				mac.Write(body)
				if hmac.Equal(mac.Sum(nil), given) {
					return t, nil
				}
			}
		}
	}
	return nil, failure.New(failure.Auth, "no webhook of this name takes the request").
		WithHint("sign its body: %s: sha256=HMAC-SHA256(secret, body); or, where on.webhook names no secret, send the server's token", signature)
}

// minSecret is how long a key is at least that requests are signed with.
const minSecret = 16

func (s *Server) secret(name string) (string, error) {
	read := s.opts.Secrets[name]
	if read == nil {
		return "", failure.New(failure.NotFound, "it is not declared")
	}
	key, err := read()
	if err == nil && len(key) < minSecret {
		err = failure.New(failure.Invalid, "it has fewer than %d characters: it could be guessed", minSecret)
	}
	return key, err
}

// Fire takes an event of one of a recipe's triggers. When it returns nil the request
// is durable: it will be run, also after a crash.
func (s *Server) Fire(name string, t *on.Trigger, event map[string]any, delivery string) (id string, err error) {
	r := s.opts.Recipes.Recipe(name)
	if r == nil {
		return "", failure.New(failure.NotFound, "there is no recipe %s any more", name)
	}
	e, err := s.fire(r, t, event, delivery, t.Kind())
	return e.ID, err
}

// Ended reports whether a request has come to its end, or is not known any more.
func (s *Server) Ended(id string) bool {
	e, known := s.opts.Queue.Get(id)
	return !known || e.State == queue.Done
}

func (s *Server) fire(r *reload.Recipe, t *on.Trigger, event map[string]any, delivery, who string) (queue.Entry, error) {
	params := t.Params(event, r.Version.Params)
	source := t.Kind() + " " + r.Name
	return s.enqueue(r, queue.Request{Params: params, Source: source, Who: who, Delivery: delivery, Coalesce: t.Coalesces()})
}
