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
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/queue"
	"github.com/mepc/mepc-run/internal/report"
	"github.com/mepc/mepc-run/internal/say"
)

// asker asks a server.
type asker struct {
	*invocation
	base  string
	token string
	http  *http.Client
}

// clientFlags say which server is asked.
type clientFlags struct{ server, tokenFile string }

func clientCommand(in *invocation, cmd *cobra.Command, run func(context.Context, *asker, []string) error) *cobra.Command {
	f := &clientFlags{}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := f.asker(in)
		if err != nil {
			return err
		}
		return run(cmd.Context(), cl, args)
	}
	flags := cmd.Flags()
	flags.StringVar(&f.server, "server", "", "`URL` of the server, or unix:PATH (default: the server of the state directory)")
	flags.StringVar(&f.tokenFile, "token-file", "", "`FILE` with its token (default: serve/token in the state directory)")
	flags.BoolVar(&in.flags.json, "json", false, "print what the server answers, as JSON")
	in.pick(cmd, "state")
	return cmd
}

// asker returns one for the server that the flags name, or that the state
// directory knows of.
func (f *clientFlags) asker(in *invocation) (*asker, error) {
	dir, err := in.stateDir()
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
			return nil, failure.New(failure.NotFound, "no server has ever used the state directory %s", dir.Path()).
				WithHint("mepc-run serve DIR starts one; --server names one on another machine")
		}
		address = r.Address
	}
	cl := &asker{invocation: in, base: strings.TrimSuffix(address, "/"), http: &http.Client{}}
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
		return nil, failure.Wrap(failure.Unavailable, failure.Innermost(err), "ask the server at %s", cl.base).
			WithHint("is it running? mepc-run serve DIR starts it; --server names another")
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, failure.Wrap(failure.Unavailable, err, "read the server's answer")
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
func (cl *asker) say(answer []byte, text string) error {
	if cl.flags.json {
		text = string(answer)
	}
	_, err := io.WriteString(cl.env.Stdout, text)
	return err
}

func triggerCommand(in *invocation) *cobra.Command {
	var coalesce bool
	var delivery string
	cmd := clientCommand(in, &cobra.Command{
		Use: "trigger RECIPE [name=value ...]", Short: "Ask a server to run a recipe", Args: cobra.MinimumNArgs(1),
		Long: `Asks a server to run a recipe with these parameters. Once the server accepts, the
request is on disk and will be run. Prints the name of the run, for mepc-run show
and logs.`,
		Example: "  mepc-run trigger bluegreen image=mepc/app:1.1",
	}, func(ctx context.Context, cl *asker, args []string) error {
		given, err := params(nil, args[1:])
		if err != nil {
			return err
		}
		data, err := cl.ask(ctx, http.MethodPost, "/api/v1/recipes/"+url.PathEscape(args[0])+"/runs",
			map[string]any{"params": given, "coalesce": coalesce, "delivery": delivery, "who": cl.who()})
		if err != nil {
			return err
		}
		var e queue.Entry
		if err := json.Unmarshal(data, &e); err != nil {
			return failure.Wrap(failure.Internal, err, "read the answer")
		}
		return cl.say(data, fmt.Sprintf("run %s: %s for %s, %s\n", e.ID, e.Recipe, e.App, stateText(&e)))
	})
	cmd.Flags().BoolVar(&coalesce, "coalesce", false, "while it waits, a later request for the same recipe and app may replace it")
	cmd.Flags().StringVar(&delivery, "delivery", "", "`NAME` of this request: repeating it returns the first one's run")
	return cmd
}

func stateText(e *queue.Entry) string {
	if e.Result != nil {
		return e.Result.Status + prefixed(": ", report.Clean(oneLine(e.Result.Text)))
	}
	return string(e.State)
}

func statusCommand(in *invocation) *cobra.Command {
	app := &standingCmd{invocation: in}
	cmd := clientCommand(in, &cobra.Command{
		Use: "status [APP]", Short: "Show what serves an app, or what a server runs", Args: atMostOne("app"),
		Long: `Shows the state of an app: the release that each of its hosts leads to, its
containers, what is kept for a rollback, what is marked bad, who holds its lock, and
the last runs. It only reads from the engine and Redis; no server is needed.

Without APP it shows what mepc-run serve runs, and what waits there.`,
		Example: "  mepc-run status shop\n  mepc-run status shop --watch",
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
		asked, err := cl.ask(ctx, http.MethodGet, "/api/v1/approvals", nil)
		if err != nil {
			return err
		}
		var asks []struct{ Run, Recipe, App, Question string }
		if err := errors.Join(json.Unmarshal(about, &st), json.Unmarshal(queued, &q), json.Unmarshal(asked, &asks)); err != nil {
			return failure.Wrap(failure.Internal, err, "read the answer")
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s: %s\n", st.Version, say.Count(st.Recipes, "recipe"))
		if st.Paused != "" {
			fmt.Fprintf(&b, "PAUSED by %s: nothing is started until mepc-run resume-queue\n", report.Clean(st.Paused))
		}
		for _, t := range st.Trouble {
			fmt.Fprintf(&b, "recipe %s\n", report.Clean(t))
		}
		for _, a := range asks {
			fmt.Fprintf(&b, "asks     %s  %s for %s: %s; mepc-run approve %s yes, or no\n", a.Run, report.Clean(a.Recipe), report.Clean(a.App), report.Clean(oneLine(a.Question)), a.Run)
		}
		for _, e := range append(q.Running, q.Waiting...) {
			fmt.Fprintf(&b, "%-8s %s  %s for %s, by %s\n", e.State, cmp.Or(e.Run, e.ID), report.Clean(e.Recipe), report.Clean(e.App), report.Clean(e.Who))
		}
		if len(q.Running)+len(q.Waiting) == 0 {
			b.WriteString("nothing is running, nothing is waiting\n")
		}
		return cl.say(slices.Concat(about, queued, asked), b.String())
	})
	server := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return server(cmd, args)
		}
		return app.repeat(cmd.Context(), func(ctx context.Context) error { return app.status(ctx, args[0]) })
	}
	app.flagsOf(cmd)
	return in.completed(cmd, findApps)
}

func pauseCommand(in *invocation) *cobra.Command {
	return clientCommand(in, &cobra.Command{
		Use: "pause", Short: "Pause a server's queue", Args: noArgs,
		Long: `Pauses a server's queue until mepc-run resume-queue, even across a restart.
Running recipes go on; new requests are accepted, and wait.`,
	}, func(ctx context.Context, cl *asker, _ []string) error {
		_, err := cl.ask(ctx, http.MethodPost, "/api/v1/queue/pause", nil)
		return err
	})
}

func resumeQueueCommand(in *invocation) *cobra.Command {
	return clientCommand(in, &cobra.Command{
		Use: "resume-queue", Short: "Resume a server's queue", Args: noArgs,
	}, func(ctx context.Context, cl *asker, _ []string) error {
		_, err := cl.ask(ctx, http.MethodPost, "/api/v1/queue/resume", nil)
		return err
	})
}
