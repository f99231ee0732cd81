package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mepc/mepc-run/cli"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// chat is a module as another team would write it, on net/http.
type chat struct{ servers servers.Access }

type postArgs struct {
	URL  string `lua:"url,pos,required,target" doc:"the channel's hook"`
	Text string `lua:"text,pos,required" doc:"what is said"`
}

func (c *chat) post(ctx context.Context, a *postArgs) (runtime.None, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL, bytes.NewBufferString(a.Text))
	if err != nil {
		return runtime.None{}, err
	}
	return runtime.None{}, c.send(req)
}

type topicArgs struct {
	URL string `lua:"url,pos,required,target" doc:"the channel"`
}

func (c *chat) topic(ctx context.Context, a *topicArgs) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL, nil)
	if err != nil {
		return "", err
	}
	res, err := servers.Send(&http.Client{Transport: c.servers.Transport()}, req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

func (c *chat) send(req *http.Request) error {
	res, err := servers.Send(&http.Client{Transport: c.servers.Transport()}, req)
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		err = &runtime.Error{Kind: runtime.Refused, Message: "the chat answers " + res.Status}
	}
	res.Body.Close()
	return err
}

func chats() runtime.Module {
	return runtime.Module{
		Name: "chat", Doc: "Tells a chat.", Self: runtime.PerRun(func(a servers.Access) *chat { return &chat{a} }),
		Funcs: []runtime.Func{
			{Name: "post", Class: runtime.Write, Doc: "Says something.", Example: `chat.post("http://127.0.0.1:1/x", "deployed")`, Call: runtime.Effect((*chat).post)},
			{Name: "topic", Class: runtime.Read, Doc: "Reads the topic.", Call: runtime.Effect((*chat).topic)},
		},
	}
}

// bell acts on the program itself, so that nobody can rehearse it.
func bell() runtime.Module {
	return runtime.Module{
		Name: "bell", Doc: "Rings.", Self: "tower",
		Funcs: []runtime.Func{{Name: "ring", Class: runtime.Write, Doc: "Rings a bell.", Call: runtime.Effect(
			func(_ string, _ context.Context, _ *runtime.None) (runtime.None, error) {
				return runtime.None{}, os.WriteFile("rung", nil, 0o600)
			})}},
	}
}

func TestMain(m *testing.M) {
	taken := bell()
	taken.Name = "docker"
	word := bell()
	word.Name = "end"
	testscript.Main(m, map[string]func(){
		"deploy": func() { cli.Main(chats(), bell()) },
		"taken":  func() { cli.Main(taken) },
		"word":   func() { cli.Main(word) },
		"plain":  func() { cli.Main() },
	})
}

// TestATeamsProgram runs what testdata holds: a program with modules of its own is
// mepc-run. $CHAT is a chat that answers, and keeps what it is told in the file said.
func TestATeamsProgram(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata", Setup: func(e *testscript.Env) error {
		chat := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			if f, err := os.OpenFile(e.WorkDir+"/said", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
				fmt.Fprintf(f, "%s %s\n", r.Method, text)
				f.Close()
			}
		}))
		e.Defer(chat.Close)
		e.Setenv("CHAT", chat.URL+"/team")
		e.Setenv("HOME", e.WorkDir)
		e.Setenv("GORACE", "atexit_sleep_ms=0")
		return nil
	}})
}
