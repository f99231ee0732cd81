package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/report"
	"github.com/mepc/mepc-run/internal/say"
	"github.com/mepc/mepc-run/internal/standing"
	redismodule "github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/servers"
)

// standingCmd is mepc-run status APP, and mepc-run ps.
type standingCmd struct {
	*invocation
	watch bool
}

// appLine is an app as --json shows it: how it stands, and its last runs.
type appLine struct {
	*standing.App
	Runs []journal.Summary `json:"runs"`
}

func psCommand(in *invocation) *cobra.Command {
	c := &standingCmd{invocation: in}
	cmd := &cobra.Command{
		Use: "ps", Short: "List apps: what serves them, since when, by whom", Args: noArgs,
		Long: `Lists the apps whose containers are on the engine, or whose routing lists are in
Redis: the versions that serve, how many containers run, the hosts, the last run.
mepc-run status APP tells more of one.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.repeat(cmd.Context(), c.list) },
	}
	c.flagsOf(cmd)
	return cmd
}

func (c *standingCmd) flagsOf(cmd *cobra.Command) {
	f := cmd.Flags()
	if f.Lookup("json") == nil {
		f.BoolVar(&c.flags.json, "json", false, "print a JSON object for each app")
	}
	f.BoolVarP(&c.watch, "watch", "w", false, "show it again every two seconds, until Ctrl-C")
	c.pick(cmd, "docker", "context", "insecure-docker", "redis")
	if f.Lookup("state") == nil {
		c.pick(cmd, "state")
	}
}

const watchPause = 2 * time.Second

// repeat calls show, with --watch again and again.
func (c *standingCmd) repeat(ctx context.Context, show func(context.Context) error) error {
	for {
		if c.watch && c.terminal(c.env.Stdout) {
			if err := c.print("\x1b[H\x1b[2J"); err != nil {
				return err
			}
		}
		if err := show(ctx); err != nil || !c.watch {
			return err
		}
		if (clock.Wall{}).Sleep(ctx, watchPause) != nil {
			return nil // that is how one leaves it
		}
	}
}

// apps returns the state of an app, or of all apps, with their last runs.
func (c *standingCmd) apps(ctx context.Context, name string, runs int) ([]*appLine, error) {
	world := servers.ReadOnly(c.servers())
	defer world.Close()
	found, err := standing.Look(ctx, standing.Options{Servers: world, Explain: redismodule.Explain, App: name})
	if err != nil {
		return nil, err
	}
	all := make([]*appLine, len(found))
	for i, a := range found {
		all[i] = &appLine{a, []journal.Summary{}}
	}
	return all, c.lastRuns(all, runs)
}

var errEnough = errors.New("enough runs were read")

// mostRuns limits how many journals are read for the last runs of apps.
const mostRuns = 200

// lastRuns adds the last runs of each app, and those that deployed what serves.
func (c *standingCmd) lastRuns(all []*appLine, each int) error {
	dir, err := c.stateDir()
	if err != nil {
		return nil //nolint:nilerr // there is no journal on this machine, and an app stands without
	}
	seen := 0
	err = dir.Each(func(h *journal.Head) error {
		if seen++; seen > mostRuns {
			return errEnough
		}
		at := slices.IndexFunc(all, func(a *appLine) bool { return a.Name == h.App })
		if h.Bad != nil || at < 0 {
			return nil
		}
		if a := all[at]; len(a.Runs) < each || a.deployedBy(imageOf(&h.Header)) == nil && h.Status() == "ok" {
			a.Runs = append(a.Runs, h.Summary())
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return err
}

func imageOf(h *journal.Header) string {
	image, _ := h.Params["image"].(string)
	return image
}

// deployedBy returns the newest run that deployed an image.
func (a *appLine) deployedBy(image string) *journal.Summary {
	for i := range a.Runs {
		if r := &a.Runs[i]; image != "" && imageOf(r.Header) == image && r.Status == "ok" {
			return r
		}
	}
	return nil
}

func (c *standingCmd) list(ctx context.Context) error {
	all, err := c.apps(ctx, "", 1)
	if err != nil {
		return err
	}
	if c.flags.json {
		for _, a := range all {
			if err := c.putJSON(a); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		return c.print("no apps: no container here was deployed by a recipe, and Redis has no routing list\n")
	}
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "APP\tSERVES\tRUNNING\tSINCE\tBY\tHOSTS")
	for _, a := range all {
		running, all := 0, 0
		for _, r := range a.Serving() {
			running += r.Running()
			all += len(r.Containers)
		}
		since, by := c.since(a)
		hosts := make([]string, len(a.Hosts))
		for i, h := range a.Hosts {
			hosts[i] = h.Host
		}
		if len(hosts) > 2 {
			hosts = append(hosts[:1], fmt.Sprintf("%d more", len(hosts)-1))
		}
		fmt.Fprintf(t, "%s\t%s\t%d/%d\t%s\t%s\t%s\n", report.Clean(a.Name), report.Clean(versions(a.App)), running, all, since, by, report.Clean(strings.Join(hosts, ", ")))
	}
	_ = t.Flush() // to a text
	return c.print(b.String())
}

// versions returns those that serve an app, the newest first.
func versions(a *standing.App) string {
	var all []string
	for _, r := range a.Serving() {
		if !slices.Contains(all, r.Version) {
			all = append(all, r.Version)
		}
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, ", ")
}

// since returns when the newest release that serves was deployed, and by whom.
func (c *standingCmd) since(a *appLine) (since, by string) {
	serving := a.Serving()
	if len(serving) == 0 {
		return "", ""
	}
	at := serving[0].Created
	if run := a.deployedBy(serving[0].Image); run != nil {
		at, by = run.Started, report.Clean(run.Who)
	}
	return c.ago(at), by
}

func (c *standingCmd) ago(t time.Time) string { return say.Ago(clock.Wall{}.Now().Sub(t)) }

// status shows how one app stands.
func (c *standingCmd) status(ctx context.Context, name string) error {
	all, err := c.apps(ctx, name, 5)
	if err != nil {
		return err
	}
	a := all[0]
	if c.flags.json {
		return c.putJSON(a)
	}
	p := &standingPage{standingCmd: c, app: a, style: c.styles(c.env.Stdout)}
	p.hosts()
	p.releases()
	p.end()
	return c.print(p.String())
}

// standingPage writes the state of an app.
type standingPage struct {
	strings.Builder
	*standingCmd
	app   *appLine
	style styles
}

func (p *standingPage) line(indent int, format string, args ...any) {
	p.WriteString(strings.Repeat("  ", indent) + strings.TrimRight(report.Clean(fmt.Sprintf(format, args...)), " ") + "\n")
}

func (p *standingPage) hosts() {
	a := p.app
	p.line(0, "%s serves %s", a.Name, versions(a.App))
	width := 0
	for _, h := range a.Hosts {
		width = max(width, len(h.Host))
	}
	for _, h := range a.Hosts {
		p.line(1, "%-*s  %s", width, h.Host, shares(h))
	}
	if len(a.Hosts) == 0 {
		p.line(1, "no host leads to it")
	}
}

// shares says where a host's requests go.
func shares(h *standing.Host) string {
	type part struct {
		to    string
		share float64
		dead  int
	}
	var parts []*part
	for _, b := range h.Backends {
		to := b.Version
		if to == "" {
			to = b.URL + " (not a container of this engine)"
		}
		at := slices.IndexFunc(parts, func(p *part) bool { return p.to == to })
		if at < 0 {
			at = len(parts)
			parts = append(parts, &part{to: to})
		}
		parts[at].share += b.Share
		if b.Dead {
			parts[at].dead++
		}
	}
	if len(parts) == 0 {
		return "nothing: requests are refused"
	}
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.to
		if len(parts) > 1 {
			texts[i] += fmt.Sprintf(" %.3g %%", 100*p.share)
		}
		if p.dead > 0 {
			texts[i] += fmt.Sprintf(" (%d marked dead)", p.dead)
		}
	}
	return strings.Join(texts, ", ")
}

func (p *standingPage) releases() {
	for _, r := range p.app.Releases {
		what := []string{"kept, stopped"}
		switch {
		case r.Serves:
			what = []string{fmt.Sprintf("serves, %d of %d running", r.Running(), len(r.Containers))}
		case r.Running() > 0:
			what = []string{fmt.Sprintf("no traffic, %d of %d running", r.Running(), len(r.Containers))}
		case r.ID == p.app.Returns:
			what = append(what, "a rollback returns to it")
		}
		if run := p.app.deployedBy(r.Image); run != nil {
			what = append(what, "deployed "+p.ago(run.Started)+" by "+run.Who)
		} else {
			what = append(what, "created "+p.ago(r.Created))
		}
		p.line(0, "")
		p.line(0, "%s  %s", r.Image, strings.Join(what, ", "))
		if r.Bad != "" {
			p.line(1, "marked bad: %s", r.Bad)
		}
		for _, box := range r.Containers {
			p.line(1, "%s  %s", box.Name, stateOf(box))
		}
	}
}

func stateOf(c *standing.Container) string {
	if c.State == "running" && c.Health != "" {
		return c.Health
	}
	return c.State
}

func (p *standingPage) end() {
	a := p.app
	p.line(0, "")
	if a.Lock != nil {
		p.line(0, "locked by %s", a.Lock)
	} else {
		p.line(0, "not locked")
	}
	if a.Returns != "" {
		p.line(0, "to roll back: mepc-run rollback%s", rollbackArgs(a.App))
	}
	if len(a.Runs) == 0 {
		return
	}
	p.line(0, "")
	p.line(0, "last runs")
	t := tabwriter.NewWriter(&p.Builder, 0, 0, 2, ' ', 0)
	for _, r := range a.Runs[:min(len(a.Runs), 5)] {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", p.ago(r.Started), report.Clean(r.Recipe), report.Clean(imageOf(r.Header)), r.Status, report.Clean(r.Who+"@"+r.Host))
	}
	_ = t.Flush() // to a text
}

// rollbackArgs are the parameters by which rollback finds an app.
func rollbackArgs(a *standing.App) string {
	text := ""
	if a.Name != "app" {
		text += " app=" + a.Name
	}
	hosts := make([]string, len(a.Hosts))
	for i, h := range a.Hosts {
		hosts[i] = h.Host
	}
	if list := strings.Join(hosts, ","); list != "appserver" {
		text += " host=" + list
	}
	return text
}
