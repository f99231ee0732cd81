// Package http gives recipes HTTP requests: to health checks, to a router, to
// whatever wants to know of a deploy. Start with New. No proxy is taken from
// the environment, and nothing but http and https is spoken.
package http

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// New returns the module. Its connections are made by the *servers.Clients of a run.
func New() runtime.Module {
	f := func(name string, class runtime.Class, doc, example string, call runtime.Caller) runtime.Func {
		return runtime.Func{
			Name: name, Class: class, Doc: doc, Example: example, Call: call,
			From:    strings.ToUpper(name),
			Returns: "the response, whatever its status: a 404 or a 503 is not an error",
			Raises:  kinds,
		}
	}
	anyMethod := f("request", runtime.Write, "Sends a request with any method.",
		`http.request{method="PATCH", url="http://127.0.0.1:8080/", json={drain=true}}`, runtime.Effect((*module).request))
	anyMethod.From = "any method; GET, HEAD and OPTIONS count as reading, DELETE as removing"
	return runtime.Module{
		Name: "http",
		Doc: "Sends HTTP requests. Answers are returned whatever their status; an error is raised when there is none. " +
			"The Host header is free to set, which is how a router is asked for one frontend.",
		Self: runtime.PerRun(func(w *servers.Clients) *module { return &module{w} }),
		Funcs: []runtime.Func{
			f("get", runtime.Read, "Gets a page.",
				`local status = http.get("http://127.0.0.1:8080/health", {headers={Host="appserver"}, fresh=true}).status`,
				runtime.Effect((*module).get)),
			f("head", runtime.Read, "Gets a page's headers.",
				`local length = http.head("http://127.0.0.1:8080/").headers["content-length"]`, runtime.Effect((*module).head)),
			f("post", runtime.Write, "Sends a body.",
				`http.post("http://127.0.0.1:8080/hooks", {json={text="deployed"}})`, runtime.Effect((*module).post)),
			f("put", runtime.Write, "Sends a body that takes the place of what is there.",
				`http.put("http://127.0.0.1:8080/flag", {body="on", headers={["Content-Type"]="text/plain"}})`, runtime.Effect((*module).put)),
			f("delete", runtime.Destructive, "Removes what is there.",
				`http.delete("http://127.0.0.1:8080/flag")`, runtime.Effect((*module).delete)),
			anyMethod,
		},
	}
}

var kinds = []runtime.Kind{
	failure.Invalid, failure.Denied, failure.Unavailable, failure.Auth, failure.Timeout, failure.Refused, failure.Limit, failure.Unknown,
}

type module struct{ world *servers.Clients }

// options are what every request takes.
type options struct {
	Headers  map[string]string `lua:"headers,secret" doc:"header fields; Host is taken, too"`
	Timeout  time.Duration     `lua:"timeout" default:"10s" min:"0.001" doc:"for all of it, the body included"`
	Follow   bool              `lua:"follow" default:"true" doc:"whether redirects are followed, ten at most; to another host only with the standard headers"`
	Fresh    bool              `lua:"fresh" default:"false" doc:"whether to make a connection of its own, as a new client would"`
	MaxBody  runtime.Size      `lua:"max_body" default:"1MB" min:"0" doc:"how large the answer's body may be, unpacked"`
	Insecure bool              `lua:"insecure" default:"false" doc:"take any certificate"`
	CA       string            `lua:"ca" doc:"a file with the certificates (PEM) to trust in place of the system's"`
	Server   string            `lua:"server_name" doc:"the name that the server's certificate is for, where it is not that of the URL"`
	Cert     string            `lua:"cert" doc:"a file with our own certificate (PEM), for servers that want one"`
	Key      string            `lua:"key" doc:"a file with its key (PEM)"`
	Basic    *basic            `lua:"basic" doc:"log in with a user and a password"`
	Bearer   string            `lua:"bearer,secret" doc:"or with a token; may be a secret"`
}

// basic is a user with a password.
type basic struct {
	Username string `lua:"username,required,secret" doc:"the user"`
	Password string `lua:"password,required,secret" doc:"the password; may be a secret"`
}

// content is what requests with a body take.
type content struct {
	Body string        `lua:"body,secret" doc:"the body, byte for byte"`
	JSON runtime.Value `lua:"json" doc:"a value sent as a JSON body"`
}

type getArgs struct {
	URL string `lua:"url,pos,required,target,secret" doc:"http:// or https://"`
	options
}

type sendArgs struct {
	URL string `lua:"url,pos,required,target,secret" doc:"http:// or https://"`
	options
	content
}

type requestArgs struct {
	Method string `lua:"method" default:"GET" doc:"such as GET or PATCH"`
	URL    string `lua:"url,required,target,secret" doc:"http:// or https://"`
	options
	content
}

// Validate refuses what cannot be requested.
func (a *getArgs) Validate() error { return validate(a.URL, &a.options, &content{}) }

// Validate refuses what cannot be requested.
func (a *sendArgs) Validate() error { return validate(a.URL, &a.options, &a.content) }

// Validate refuses what cannot be requested.
func (a *requestArgs) Validate() error {
	if a.Method == "" || strings.Trim(a.Method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" || a.Method == http.MethodConnect {
		return fmt.Errorf("method: %q is not one that can be sent; methods are in capitals", a.Method)
	}
	return validate(a.URL, &a.options, &a.content)
}

// validate's errors do not repeat the URL: it may be a secret.
func validate(text string, o *options, c *content) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("url: malformed")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("url: it begins with http:// or https://")
	case u.Hostname() == "":
		return errors.New("url: the host is missing")
	case u.User != nil:
		return errors.New("url: it holds a user and a password, which would be seen: give basic = {username = ..., password = ...}")
	case c.Body != "" && c.JSON != nil:
		return errors.New("body and json exclude each other")
	case (o.Cert == "") != (o.Key == ""):
		return errors.New("cert and key are given together, or neither is")
	}
	if err := o.checkLogin(); err != nil {
		return err
	}
	for name, value := range o.Headers {
		if !isToken(name) {
			return fmt.Errorf("headers: %q is not a name", name)
		}
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return fmt.Errorf("headers.%s: it has control characters, such as a line break", name)
		}
	}
	return nil
}

// checkLogin refuses two ways to log in at once, and what no header can carry.
func (o *options) checkLogin() error {
	ways := 0
	for name := range o.Headers {
		if strings.EqualFold(name, "Authorization") {
			ways++
		}
	}
	if o.Basic != nil {
		ways++
		if strings.Contains(o.Basic.Username, ":") {
			return errors.New("basic.username: it has a colon, which ends it")
		}
	}
	if o.Bearer != "" {
		ways++
		if strings.ContainsFunc(o.Bearer, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return errors.New("bearer: it has characters that no token has, such as a space or a line break")
		}
	}
	if ways > 1 {
		return errors.New("basic, bearer and an Authorization header exclude each other")
	}
	return nil
}

// isToken reports whether s is a header's name (RFC 9110, token).
func isToken(s string) bool {
	const marks = "!#$%&'*+-.^_`|~"
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(marks, r))
	})
}

// Op tells the gate of the timeout, and leaves out what people need not see.
func (a *getArgs) Op(op *effect.Op) { describe(op, &a.options, &content{}) }

// Op tells the gate of the timeout, and leaves out what people need not see.
func (a *sendArgs) Op(op *effect.Op) { describe(op, &a.options, &a.content) }

// Op tells the gate the class, too: it depends on the method.
func (a *requestArgs) Op(op *effect.Op) {
	op.Class = effect.Write
	switch a.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		op.Class = effect.Read
	case http.MethodDelete:
		op.Class = effect.Destructive
	}
	describe(op, &a.options, &a.content)
	op.Args = slices.Insert(op.Args, 0, effect.Arg{Name: "method", Value: a.Method})
}

// describe replaces the arguments by those that say something. Bodies and most
// headers are not for logs.
func describe(op *effect.Op, o *options, c *content) {
	op.Timeout = o.Timeout
	op.Args = nil
	if host := hostOf(o.Headers); host != "" {
		op.Args = append(op.Args, effect.Arg{Name: "host", Value: host})
	}
	switch {
	case c.Body != "":
		op.Args = append(op.Args, effect.Arg{Name: "body", Value: fmt.Sprintf("%d bytes", len(c.Body))})
	case c.JSON != nil:
		op.Args = append(op.Args, effect.Arg{Name: "body", Value: "json"})
	}
}

// hostOf returns the Host header, however it is written.
func hostOf(headers map[string]string) string {
	for name, value := range headers {
		if strings.EqualFold(name, "Host") {
			return value
		}
	}
	return ""
}

func (m *module) get(ctx context.Context, a *getArgs) (*response, error) {
	return m.send(ctx, http.MethodGet, a.URL, &a.options, &content{})
}

func (m *module) head(ctx context.Context, a *getArgs) (*response, error) {
	return m.send(ctx, http.MethodHead, a.URL, &a.options, &content{})
}

func (m *module) post(ctx context.Context, a *sendArgs) (*response, error) {
	return m.send(ctx, http.MethodPost, a.URL, &a.options, &a.content)
}

func (m *module) put(ctx context.Context, a *sendArgs) (*response, error) {
	return m.send(ctx, http.MethodPut, a.URL, &a.options, &a.content)
}

func (m *module) delete(ctx context.Context, a *sendArgs) (*response, error) {
	return m.send(ctx, http.MethodDelete, a.URL, &a.options, &a.content)
}

func (m *module) request(ctx context.Context, a *requestArgs) (*response, error) {
	return m.send(ctx, a.Method, a.URL, &a.options, &a.content)
}
