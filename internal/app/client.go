package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/queue"
	"github.com/mepc/mepc-run/internal/report"
)

// asker asks a server.
type asker struct {
	base  string
	token string
	http  *http.Client
}

// clientFlags say which server is asked.
type clientFlags struct{ server, tokenFile string }

func (c *command) clientCommand(cmd *cobra.Command, run func(context.Context, *asker, []string) error) *cobra.Command {
	f := &clientFlags{}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := c.client(f)
		if err != nil {
			return err
		}
		return run(cmd.Context(), cl, args)
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.server, "server", "", "`URL` of the server, or unix:PATH (default: the server of the state directory)")
	flags.StringVar(&f.tokenFile, "token-file", "", "`FILE` with its token (default: serve/token in the state directory)")
	flags.BoolVar(&c.flags.json, "json", false, "print what the server answers, as JSON")
	c.pick(flags, "state")
	return cmd
}

// client returns one for the server that the flags name, or that the state
// directory knows of.
func (c *command) client(f *clientFlags) (*asker, error) {
	dir, err := c.stateDir()
	if err != nil {
		return nil, err
	}
	address := f.server
	if address == "" {
		var r serverRecord
		data, err := os.ReadFile(recordPath(dir))
		if err == nil {
			err = json.Unmarshal(data, &r)
		}
		if err != nil {
			return nil, failure.New(failure.NotFound, "no server has run in the state directory %s", dir.Path()).
				WithHint("mepc-run serve DIR starts one; --server names one elsewhere")
		}
		address = r.Address
	}
	cl := &asker{base: strings.TrimSuffix(address, "/"), http: &http.Client{}}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		cl.base = "http://mepc-run"
		cl.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}
	} else if u, err := url.Parse(address); err != nil || u.Host == "" {
		return nil, failure.New(failure.Usage, "--server %s: not a URL", address).WithHint("write it as http://127.0.0.1:7070, or unix:PATH")
	}
	cl.token, err = readToken(cmp.Or(f.tokenFile, filepath.Join(dir.Path(), "serve", "token")))
	if f.tokenFile == "" && errors.Is(err, fs.ErrNotExist) || err != nil && f.tokenFile == "" && failure.KindOf(err) == failure.NotFound {
		err = nil // it may need none
	}
	return cl, err
}

// answerTime bounds each question to a server.
const answerTime = time.Minute

// ask sends body, if any, and returns the answer.
func (cl *asker) ask(ctx context.Context, method, path string, body any) ([]byte, error) {
	var sent io.Reader
	if method != http.MethodGet {
		data, err := json.Marshal(cmp.Or[any](body, struct{}{}))
		if err != nil {
			return nil, err
		}
		sent = bytes.NewReader(data)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, cl.base+path, sent)
	if err != nil {
		return nil, err
	}
	if cl.token != "" {
		req.Header.Set("Authorization", "Bearer "+cl.token)
	}
	resp, err := cl.http.Do(req)
	if err != nil {
		return nil, failure.Wrap(failure.Unavailable, innermost(err), "ask the server at %s", cl.base).
			WithHint("does it run? mepc-run serve DIR starts it; --server names another")
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, failure.Wrap(failure.Unavailable, err, "read what the server answers")
	case resp.StatusCode >= http.StatusBadRequest:
		return nil, refusalOf(resp, data)
	}
	return data, nil
}

// refusalOf is the error that a server answered with.
func refusalOf(resp *http.Response, data []byte) error {
	var p struct {
		Error struct {
			Kind                   failure.Kind
			Message, Hint, Details string
		}
	}
	if err := json.Unmarshal(data, &p); err != nil || p.Error.Message == "" {
		return failure.New(failure.Refused, "the server answered %s", resp.Status)
	}
	e := failure.New(p.Error.Kind, "%s", p.Error.Message)
	e.Hint, e.Details = p.Error.Hint, p.Error.Details
	return e
}

// say prints the answer as JSON, or as text.
func (c *command) say(answer []byte, text string) error {
	if c.flags.json {
		text = string(answer)
	}
	_, err := io.WriteString(c.env.Stdout, text)
	return err
}

func (c *command) triggerCommand() *cobra.Command {
	var coalesce bool
	var delivery string
	cmd := c.clientCommand(&cobra.Command{
		Use: "trigger RECIPE [name=value ...]", Short: "Ask a server to run a recipe", Args: cobra.MinimumNArgs(1),
		Long: `Asks a server to run a recipe with these parameters. When it says so, the request is
on disk and will be run. It prints the name of the run: mepc-run show and logs read
it.`,
		Example: "  mepc-run trigger bluegreen image=mepc/app:1.1",
	}, func(ctx context.Context, cl *asker, args []string) error {
		given, err := params(nil, args[1:])
		if err != nil {
			return err
		}
		data, err := cl.ask(ctx, http.MethodPost, "/api/v1/recipes/"+url.PathEscape(args[0])+"/runs",
			map[string]any{"params": given, "coalesce": coalesce, "delivery": delivery, "who": c.who()})
		if err != nil {
			return err
		}
		var e queue.Entry
		if err := json.Unmarshal(data, &e); err != nil {
			return failure.Wrap(failure.Internal, err, "read the answer")
		}
		return c.say(data, fmt.Sprintf("run %s: %s for %s, %s\n", e.ID, e.Recipe, e.App, stateText(&e)))
	})
	cmd.Flags().BoolVar(&coalesce, "coalesce", false, "while it waits, a later request for the same recipe and app may take its place")
	cmd.Flags().StringVar(&delivery, "delivery", "", "`NAME` of this request: a second one with it is answered with the first")
	return cmd
}

func stateText(e *queue.Entry) string {
	if e.Result != nil {
		return e.Result.Status + prefixed(": ", report.Clean(oneLine(e.Result.Text)))
	}
	return string(e.State)
}

func (c *command) statusCommand() *cobra.Command {
	return c.clientCommand(&cobra.Command{
		Use: "status", Short: "Tell what a server runs, and what waits", Args: noArgs,
	}, func(ctx context.Context, cl *asker, _ []string) error {
		var st struct {
			Version, Paused string
			Recipes         int
			Trouble         []string
		}
		var q struct{ Running, Waiting []queue.Entry }
		about, err := cl.ask(ctx, http.MethodGet, "/api/v1/status", nil)
		if err != nil {
			return err
		}
		queued, err := cl.ask(ctx, http.MethodGet, "/api/v1/queue", nil)
		if err != nil {
			return err
		}
		if err := errors.Join(json.Unmarshal(about, &st), json.Unmarshal(queued, &q)); err != nil {
			return failure.Wrap(failure.Internal, err, "read the answer")
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s: %s\n", st.Version, plural(st.Recipes, "recipe"))
		if st.Paused != "" {
			fmt.Fprintf(&b, "PAUSED by %s: nothing is started; mepc-run resume-queue ends that\n", report.Clean(st.Paused))
		}
		for _, t := range st.Trouble {
			fmt.Fprintf(&b, "recipe %s\n", report.Clean(t))
		}
		for _, e := range append(q.Running, q.Waiting...) {
			fmt.Fprintf(&b, "%-8s %s  %s for %s, by %s\n", e.State, cmp.Or(e.Run, e.ID), report.Clean(e.Recipe), report.Clean(e.App), report.Clean(e.Who))
		}
		if len(q.Running)+len(q.Waiting) == 0 {
			b.WriteString("nothing runs, nothing waits\n")
		}
		return c.say(append(about, queued...), b.String())
	})
}

func (c *command) pauseCommand() *cobra.Command {
	return c.clientCommand(&cobra.Command{
		Use: "pause", Short: "Let a server start nothing for now", Args: noArgs,
		Long: `Lets a server start nothing until mepc-run resume-queue, also after it was
restarted. What runs goes on; requests are taken, and wait.`,
	}, func(ctx context.Context, cl *asker, _ []string) error {
		_, err := cl.ask(ctx, http.MethodPost, "/api/v1/queue/pause", nil)
		return err
	})
}

func (c *command) resumeQueueCommand() *cobra.Command {
	return c.clientCommand(&cobra.Command{
		Use: "resume-queue", Short: "Let a server start again what waits", Args: noArgs,
	}, func(ctx context.Context, cl *asker, _ []string) error {
		_, err := cl.ask(ctx, http.MethodPost, "/api/v1/queue/resume", nil)
		return err
	})
}
