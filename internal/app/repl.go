package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/rehearsal"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// replCmd is mepc-run repl: a run whose recipe is typed while it runs. So it is
// rehearsed, or journaled and guarded, as any other.
type replCmd struct {
	*runner
	world string
	live  bool
	host  *runtime.Host
}

const replText = `Reads Lua line by line, runs it, and shows what it comes to: the quickest way to
learn what recipes can do. It runs in a simulated world, in which nothing is real:

  > docker.list()
  > c = docker.create{name = "web", image = "shop:1.1"}
  > docker.start("web")

What a line sets, the next ones have. An expression shows its value, an effect
what it did. A line that is not finished goes on in the next one. Tab completes
what recipes can call, Up goes back, ?docker.create shows the reference, and
Ctrl-D ends it and shows the plan of all that was done.

--world says which world: sample (the default), live for a snapshot of the
servers, empty, or a world file. With --live everything is real: the session is a
run with a journal, and each effect happens at once.`

func replCommand(in *invocation) *cobra.Command {
	c := &replCmd{runner: newRunner(in)}
	cmd := &cobra.Command{
		Use: "repl", Short: "Try what recipes can do, line by line, in a simulated world", Long: replText,
		Example: "  mepc-run repl\n  mepc-run repl --world live\n  echo 'docker.list()' | mepc-run repl",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&c.world, "world", rehearsal.SampleSource, "the `WORLD`: sample, live (a snapshot), empty, or a world file")
	f.BoolVar(&c.live, "live", false, "no simulated world: everything is done for real")
	c.pick(cmd, "docker", "context", "insecure-docker", "redis", "router", "state", "env", "secret", "allow", "quiet", "no-color", "max-steps")
	return cmd
}

// promptSteps is how many instructions a session has, unless --max-steps says otherwise.
const promptSteps = 10_000_000_000

func (c *replCmd) run(ctx context.Context) error {
	if c.live && c.world != rehearsal.SampleSource {
		return failure.New(failure.Usage, "--live and --world exclude each other")
	}
	if c.flags.Limits.Steps == 0 {
		c.flags.Limits.Steps = promptSteps
	}
	c.env.Modules = append(slices.Clone(c.env.Modules), runtime.Module{
		Doc: "The prompt.", Self: c,
		Funcs: []runtime.Func{{Name: "prompt", Doc: "Reads lines and runs them.", Call: runtime.Inline((*replCmd).prompt)}},
	})
	recipe := source(func(host *runtime.Host, name string) (*runtime.Recipe, error) {
		c.host = host
		return host.LoadString(name, "params{}\nprompt()\n")
	})
	if c.live {
		world := servers.Live(c.servers())
		defer world.Close()
		return c.execute(ctx, world, execution{name: "repl", from: recipe, opts: runtime.RunOptions{Abort: c.abort}})
	}
	return c.rehearse(ctx, recipe)
}

// rehearse plays the session in its world, and shows the plan of what it did.
func (c *replCmd) rehearse(ctx context.Context, from source) error {
	s := &stage{runner: c.runner, name: "repl"}
	defer s.close()
	if err := s.open(ctx, c.world); err != nil {
		return err
	}
	host, err := c.runner.host()
	if err != nil {
		return err
	}
	if s.recipe, err = from.load(host, "repl"); err != nil {
		return err
	}
	s.result, err = rehearsal.Run(ctx, s.world, host, s.recipe, rehearsal.Options{
		Name: "repl", Servers: c.servers(), Routers: c.routers(), Allow: c.flags.Allow,
		RunOptions: runtime.RunOptions{Sinks: []runtime.Sink{done{c}}, Print: c.say, Grace: c.flags.Grace, Abort: c.abort},
	})
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case s.result.Err != nil:
		return s.showFailure()
	case s.result.Plan.Nothing():
		return nil
	}
	return s.showPlan(s.result.Plan)
}

func (c *replCmd) say(line string) { fmt.Fprintln(c.env.Stdout, printable(line)) }

// done tells of each effect when it is done.
type done struct{ *replCmd }

// Event implements runtime.Sink.
func (d done) Event(ev effect.Event) {
	switch {
	case ev.Type == effect.LogLine:
		d.say(ev.Log.Text)
	case ev.Type == effect.OpEnd && ev.Op.Class.Mutates() && ev.Result.Err == nil:
		d.say(strings.TrimSpace(fmt.Sprintf("  %s %s: %s", ev.Op.Name, ev.Op.Target, ev.Result.Outcome)))
	}
}

// prompt reads lines until there are no more, and runs them.
func (c *replCmd) prompt(call *runtime.Call, _ *runtime.None) (runtime.None, error) {
	in, begun := c.lines(), ""
	for {
		line, err := c.read(call, in, begun != "")
		switch {
		case call.Context().Err() != nil:
			return runtime.None{}, context.Cause(call.Context())
		case err != nil && begun == "":
			return runtime.None{}, nil // there are no more
		case err != nil:
			line = ""
		}
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "?"); ok && begun == "" {
			c.help(call.Context(), strings.TrimSpace(name))
			continue
		}
		src := strings.TrimPrefix(begun+"\n"+line, "\n")
		if begun, err = c.evaluate(call, src, begun != "" && line == ""); err != nil {
			return runtime.None{}, err
		}
	}
}

func (c *replCmd) read(call *runtime.Call, in lineReader, goesOn bool) (line string, err error) {
	prompt := "> "
	if goesOn {
		prompt = ">> "
	}
	call.Block(func(context.Context) { line, err = in.ReadLine(prompt) })
	return line, err
}

// evaluate runs src and shows what it comes to, or returns it when it goes on in the
// next line. An empty line ends what is not finished.
func (c *replCmd) evaluate(call *runtime.Call, src string, last bool) (begun string, err error) {
	if strings.TrimSpace(src) == "" {
		return "", nil
	}
	values, more, e, err := call.Prompt("prompt", src)
	switch {
	case err != nil:
		return "", err
	case more && !last:
		return src, nil
	case e != nil:
		c.say("error: " + e.Error())
		if e.Hint != "" {
			c.say("  next: " + e.Hint)
		}
	case len(values) > 1 || len(values) == 1 && values[0] != "nil":
		c.say(strings.Join(values, "  "))
	}
	return "", nil
}

// help shows the reference of a name.
func (c *replCmd) help(ctx context.Context, name string) {
	if err := (&docCmd{runner: c.runner}).doc(ctx, name); err != nil {
		c.say(err.Error())
	}
}

// lineReader reads a line. Its error says that there are no more.
type lineReader interface {
	ReadLine(prompt string) (string, error)
}

// lines returns what reads lines: an editor, at a terminal.
func (c *replCmd) lines() lineReader {
	if in := int(os.Stdin.Fd()); term.IsTerminal(in) && c.colorsOrPlain() {
		t := term.NewTerminal(struct {
			io.Reader
			io.Writer
		}{os.Stdin, c.env.Stdout}, "> ")
		t.AutoCompleteCallback = (&completion{names: c.host.Globals(), methods: c.host.Methods(), out: t}).complete
		return &editor{t, in}
	}
	return &plainLines{bufio.NewScanner(os.Stdin)}
}

// colorsOrPlain reports whether standard output is a terminal, too.
func (c *replCmd) colorsOrPlain() bool {
	f, ok := c.env.Stdout.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// plainLines are those of a file or a pipe.
type plainLines struct{ *bufio.Scanner }

func (p *plainLines) ReadLine(string) (string, error) {
	if !p.Scan() {
		return "", errors.Join(p.Err(), io.EOF)
	}
	return p.Text(), nil
}

// editor edits lines at a terminal, which is as always while a line runs.
type editor struct {
	*term.Terminal
	fd int
}

func (e *editor) ReadLine(prompt string) (string, error) {
	was, err := term.MakeRaw(e.fd)
	if err != nil {
		return "", err
	}
	defer func() { _ = term.Restore(e.fd, was) }()
	if width, height, err := term.GetSize(e.fd); err == nil {
		_ = e.SetSize(width, height)
	}
	e.SetPrompt(prompt)
	return e.Terminal.ReadLine()
}

// completion completes names of what recipes can call.
type completion struct {
	names, methods []string
	out            io.Writer
}

// complete implements the terminal's AutoCompleteCallback.
func (c *completion) complete(line string, pos int, key rune) (string, int, bool) {
	if key != '\t' {
		return "", 0, false
	}
	start := pos
	for start > 0 && strings.ContainsRune("._:", rune(line[start-1])) || start > 0 && isWord(line[start-1]) {
		start--
	}
	word, names, keep := line[start:pos], c.names, ""
	if object, method, ok := strings.Cut(word, ":"); ok && !slices.ContainsFunc(c.names, func(n string) bool { return strings.HasPrefix(n, word) }) {
		names, keep, word = c.methods, object+":", method
	}
	var fits []string
	for _, n := range names {
		if strings.HasPrefix(n, word) && (strings.Contains(word, ".") || !strings.Contains(n, ".")) {
			fits = append(fits, n)
		}
	}
	slices.Sort(fits)
	fits = slices.Compact(fits)
	if len(fits) == 0 {
		return "", 0, false
	}
	common := fits[0]
	for _, f := range fits {
		for !strings.HasPrefix(f, common) {
			common = common[:len(common)-1]
		}
	}
	if common == word && len(fits) > 1 {
		fmt.Fprintln(c.out, strings.Join(fits, "  "))
	}
	return line[:start] + keep + common + line[pos:], start + len(keep) + len(common), true
}

func isWord(b byte) bool {
	return b == '_' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
}
