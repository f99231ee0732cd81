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
	"github.com/mepc/mepc-run/internal/say"
	"github.com/mepc/mepc-run/modules/on"
)

// signature is the header of a body's HMAC-SHA256, as "sha256=" and hexadecimal
// digits; deliveries are those that name a request, so that it is taken once.
const signature = "X-Hub-Signature-256"

var deliveries = []string{"X-GitHub-Delivery", "X-Gitea-Delivery", "Webhook-Id", "X-Delivery-Id"}

// ignored answers a request that is in order and starts nothing.
type ignored struct {
	Ignored string `json:"ignored"` // why
}

// webhook takes a request for the on.webhook of a recipe that it is signed for; or,
// where that has no secret, that has the server's token in its header. The cookie of
// the page is not enough: a browser adds it to what another page asks for.
func (s *Server) webhook(c *call) (any, error) {
	answer, err := s.takeHook(c)
	if err != nil {
		if ok, left := s.refused.allow(s.opts.Clock.Now()); ok {
			s.opts.Log.Warn("a webhook is refused", "recipe", say.Clip(c.PathValue("name"), maxShown), "from", host(c.RemoteAddr), "reason", say.Clip(err.Error(), maxShown), "left_out", left)
		}
	}
	return answer, err
}

func (s *Server) takeHook(c *call) (any, error) {
	body, err := io.ReadAll(c.Body)
	if err != nil {
		return nil, err
	}
	name := c.PathValue("name")
	r := s.opts.Recipes.Recipe(name)
	if r == nil && !s.loaded() {
		return nil, errLoading
	}
	hooks, err := s.signed(r, c.Request, body)
	if err != nil {
		return nil, err
	}
	var event map[string]any
	if err := json.Unmarshal(body, &event); err != nil || event == nil {
		return nil, failure.New(failure.Invalid, "the body is not a JSON object")
	}
	q := queue.Request{Who: "webhook@" + host(c.RemoteAddr)}
	for _, name := range deliveries {
		q.Delivery = cmp.Or(q.Delivery, c.Header.Get(name))
	}
	why := ""
	for _, t := range hooks {
		hook := t.Source.(*on.Webhook)
		if why = hook.Differs(event); why != "" {
			continue
		}
		if hook.Secret != "" && !hook.Repeats {
			sum := sha256.Sum256(body)
			q.Content = hex.EncodeToString(sum[:])
		}
		return s.fire(r, t, event, q)
	}
	s.opts.Log.Info("a webhook is ignored", "recipe", name, "reason", say.Clip(why, maxShown))
	s.put(c.w, http.StatusOK, ignored{why})
	return nil, nil
}

// signed returns the webhooks that a request proves itself for. Whether there is such
// a recipe is shown to no one else.
func (s *Server) signed(r *reload.Recipe, req *http.Request, body []byte) (hooks []*on.Trigger, err error) {
	given, err := hex.DecodeString(strings.TrimPrefix(req.Header.Get(signature), "sha256="))
	isSigned := err == nil && len(given) == sha256.Size
	if r != nil && r.Version != nil {
		for _, t := range r.Version.Triggers {
			hook, ok := t.Source.(*on.Webhook)
			switch {
			case !ok:
			case hook.Secret == "" && s.opts.Token != "" && s.hasBearer(req):
				hooks = append(hooks, t)
			case hook.Secret != "" && isSigned:
				key, err := s.keys.of(hook.Secret)
				if err != nil {
					return nil, failure.New(failure.Unavailable, "the secret of the webhook cannot be used: mepc-run status says why")
				}
				mac := hmac.New(sha256.New, []byte(key))
				mac.Write(body)
				if hmac.Equal(mac.Sum(nil), given) {
					hooks = append(hooks, t)
				}
			}
		}
	}
	if len(hooks) == 0 {
		return nil, failure.New(failure.Auth, "no webhook of this name takes the request").
			WithHint("sign its body: %s: sha256=HMAC-SHA256(secret, body); or, where on.webhook names no secret, send the server's token: Authorization: Bearer TOKEN", signature)
	}
	return hooks, nil
}

// Fire takes an event of one of a recipe's triggers. When it returns nil the request
// is durable: it will be run, also after a crash.
func (s *Server) Fire(name string, t *on.Trigger, event map[string]any, delivery string) (id string, err error) {
	r := s.opts.Recipes.Recipe(name)
	if r == nil {
		return "", failure.New(failure.NotFound, "the recipe %s no longer exists", name)
	}
	e, err := s.fire(r, t, event, queue.Request{Who: t.Kind(), Delivery: delivery})
	return e.ID, err
}

// Ended reports whether a request has come to its end, or is not known any more.
func (s *Server) Ended(id string) bool {
	e, known := s.opts.Queue.Get(id)
	return !known || e.State == queue.Done
}

// fire asks for the run that an event starts.
func (s *Server) fire(r *reload.Recipe, t *on.Trigger, event map[string]any, q queue.Request) (queue.Entry, error) {
	q.Params = t.Params(event, r.Version.Params)
	q.Source, q.Coalesce = t.Kind()+" "+r.Name, t.Coalesces()
	return s.enqueue(r, q)
}
