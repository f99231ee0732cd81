package std

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"math"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

type paramsArgs struct {
	Declared *lua.LTable `lua:"declared,pos,required" doc:"the declarations, by name"`
}

func (s *Std) params(c *runtime.Call, a *paramsArgs) (any, error) { return c.Params(a.Declared) }

type stepArgs struct {
	Name string            `lua:"name,pos,required" doc:"what the step does, in a few words"`
	Fn   *runtime.Function `lua:"fn,pos,required" doc:"what to run"`
	Once bool              `lua:"once" doc:"keep what fn returns in the journal: a resumed run takes that, and does not run fn again"`
}

func (s *Std) step(c *runtime.Call, a *stepArgs) (runtime.Results, error) {
	if a.Once {
		return c.Once(a.Name, a.Fn)
	}
	return c.Step(a.Name, a.Fn)
}

type deferArgs struct {
	Name string            `lua:"name,pos,required" doc:"what it undoes, in a few words"`
	Fn   *runtime.Function `lua:"fn,pos,required" doc:"what to run; it gets the error, or nil"`
	On   string            `lua:"on" default:"failure" enum:"failure|always" doc:"run it when the run fails, or however it ends"`
}

func (s *Std) deferFunc(c *runtime.Call, a *deferArgs) (*runtime.Compensation, error) {
	return c.Defer(a.Name, a.Fn, a.On == "always"), nil
}

var compensationType = runtime.Type{
	Name: "compensation", Doc: "What defer returns.", Of: (*runtime.Compensation)(nil),
	Funcs: []runtime.Func{{
		Name:    "cancel",
		Doc:     "Makes the compensation not run.",
		Example: `defer("undo", function() end):cancel()`,
		Call: runtime.Inline(func(d *runtime.Compensation, _ *runtime.Call, _ *runtime.None) (runtime.None, error) {
			d.Cancel()
			return runtime.None{}, nil
		}),
	}},
}

type tryArgs struct {
	Fn   *runtime.Function `lua:"fn,pos,required" doc:"what to call"`
	Args []lua.LValue      `lua:"args,rest,asis" doc:"what to call it with"`
}

func (s *Std) try(c *runtime.Call, a *tryArgs) (runtime.Results, error) {
	args := make([]any, len(a.Args))
	for i, v := range a.Args {
		args[i] = v
	}
	out, err := a.Fn.Call(c, args...)
	if e := runtime.Catch(err); e != nil {
		return runtime.Results{nil, e}, nil
	}
	if err != nil || len(out) == 0 {
		return runtime.Results{nil, nil}, err
	}
	return runtime.Results{out[0], nil}, nil
}

type retryArgs struct {
	Fn       *runtime.Function `lua:"fn,pos,required" doc:"what to call; it gets the number of the attempt, from 1"`
	Attempts int               `lua:"attempts" default:"3" min:"1" max:"1000" doc:"how often to try in all"`
	Delay    time.Duration     `lua:"delay" default:"1s" doc:"how long to wait after the first error"`
	MaxDelay time.Duration     `lua:"max_delay" default:"30s" doc:"the longest wait"`
	Backoff  float64           `lua:"backoff" default:"2" min:"1" max:"10" doc:"by what each wait is longer than the one before"`
	Jitter   float64           `lua:"jitter" default:"0.1" min:"0" max:"1" doc:"how far waits are spread, as a share of each"`
}

func (s *Std) retry(c *runtime.Call, a *retryArgs) (runtime.Results, error) {
	random := c.Run().Random()
	for attempt := 1; ; attempt++ {
		out, err := a.Fn.Call(c, attempt)
		e := runtime.Catch(err)
		if e == nil || attempt >= a.Attempts || hopeless(e.Kind) {
			return out, err
		}
		wait := float64(a.Delay) * math.Pow(a.Backoff, float64(attempt-1))
		wait = min(wait, float64(a.MaxDelay)) * (1 + a.Jitter*(2*random.Float64()-1))
		c.Log("warn", "attempt failed, trying again: "+e.Error(), nil)
		if err := c.Sleep(time.Duration(wait)); err != nil {
			return nil, err
		}
	}
}

// hopeless reports whether the same call must fail the same way again.
func hopeless(k runtime.Kind) bool {
	switch k {
	case failure.Invalid, failure.Denied, failure.Auth, failure.Internal:
		return true
	}
	return false
}

type sleepArgs struct {
	Duration time.Duration `lua:"duration,pos,required" doc:"how long"`
}

func (s *Std) sleep(c *runtime.Call, a *sleepArgs) (runtime.None, error) {
	return runtime.None{}, c.Sleep(a.Duration)
}

func (s *Std) now(c *runtime.Call, _ *runtime.None) (time.Time, error) { return c.Clock().Now(), nil }

type failArgs struct {
	Message string `lua:"message,pos,required" doc:"what is wrong"`
	Kind    string `lua:"kind" default:"script" enum:"script|invalid_argument|not_found|conflict|timeout|unhealthy|unavailable" doc:"the class of the error: decides the exit code"`
	Hint    string `lua:"hint" doc:"what to do next"`
	State   string `lua:"state" doc:"what state things are in now"`
}

func (s *Std) fail(_ *runtime.Call, a *failArgs) (runtime.None, error) {
	return runtime.None{}, &runtime.Error{Kind: failure.Kind(a.Kind), Message: a.Message, Hint: a.Hint, State: a.State}
}

type envArgs struct {
	Name string `lua:"name,pos,required" doc:"the variable"`
}

func (s *Std) env(_ *runtime.Call, a *envArgs) (any, error) {
	v, ok := s.opts.Env[a.Name]
	if !ok {
		return nil, failure.New(failure.Denied, "the environment variable %s is not passed to recipes", a.Name).
			WithHint("pass it with --env %s", a.Name)
	}
	if v == "" {
		return nil, nil
	}
	return v, nil
}

type secretArgs struct {
	Name string `lua:"name,pos,required" doc:"the name it is declared by"`
}

func (s *Std) secret(c *runtime.Call, a *secretArgs) (any, error) {
	read := s.opts.Secrets[a.Name]
	if read == nil {
		names := make([]string, 0, len(s.opts.Secrets))
		for n := range s.opts.Secrets {
			names = append(names, n)
		}
		return nil, failure.New(failure.Denied, "no secret %q is declared%s", a.Name, runtime.DidYouMean(a.Name, names)).
			WithHint("declare it with --secret %[1]s=env:VARIABLE, %[1]s=file:PATH or %[1]s=cmd:COMMAND", a.Name)
	}
	var raw string
	var err error
	c.Block(func(context.Context) { raw, err = read() })
	if err != nil {
		return nil, failure.Wrap(failure.NotFound, err, "read secret %s", a.Name)
	}
	return c.Secret(raw), nil
}

type sha256Args struct {
	Text string `lua:"text,pos,required,secret" doc:"any bytes; a secret, where there is a salt"`
	Salt string `lua:"salt" doc:"digest the text with this key (HMAC), so that it cannot be looked up in a table of digests"`
}

func (s *Std) sha256(_ *runtime.Call, a *sha256Args) (string, error) {
	if a.Salt == "" {
		return fmt.Sprintf("%x", sha256.Sum256([]byte(a.Text))), nil
	}
	mac := hmac.New(sha256.New, []byte(a.Salt))
	mac.Write([]byte(a.Text))
	return fmt.Sprintf("%x", mac.Sum(nil)), nil
}

func (s *Std) routers(_ *runtime.Call, _ *runtime.None) ([]string, error) { return s.opts.Routers, nil }

type requireArgs struct {
	Name string `lua:"name,pos,required" doc:"the file, with dots for directories and without .lua"`
}

func (s *Std) require(c *runtime.Call, a *requireArgs) (any, error) { return c.Require(a.Name) }
