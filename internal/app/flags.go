package app

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/guard"
	"github.com/mepc/mepc-run/runtime"
)

// flags are a run's, decoded.
type flags struct {
	docker   engine.DockerEndpoint
	insecure bool
	redis    string
	routers  []string
	varFiles []string
	timeout  time.Duration
	grace    time.Duration
	json     bool
	quiet    bool
	verbose  bool
	noColor  bool
	seed     int64
	allow    []string
	env      []string
	secrets  []string
	limits   runtime.Limits
	version  bool
	state    string
	keepRuns int64
	lockWait time.Duration

	rehearsal rehearsalFlags
}

// flagGroup is some flags under one title of the help.
type flagGroup struct {
	title string
	*pflag.FlagSet
}

const stateUsage = "keep journals and locks in `DIR` (default $MEPC_STATE, else $XDG_STATE_HOME/mepc-run, else ~/.local/state/mepc-run)"

const redisUsage = "Redis `URL` (default $REDIS_URL, else redis://127.0.0.1:6379)"

// groups returns the flags as the help shows them. Their names and placeholders
// keep within 80 columns: see TestHelpFitsInEightyColumns.
func (f *flags) groups() []flagGroup {
	group := func(title string, add func(*pflag.FlagSet)) flagGroup {
		set := pflag.NewFlagSet(title, pflag.ContinueOnError)
		set.SortFlags = false
		add(set)
		return flagGroup{title, set}
	}
	f.grace, f.seed, f.keepRuns = time.Minute, 1, 500
	return []flagGroup{
		group("Parameters", func(s *pflag.FlagSet) {
			s.StringArrayVar(&f.varFiles, "var-file", nil, "read parameters from `FILE`: a JSON object, or lines of name=value")
			s.StringSliceVar(&f.env, "env", nil, "let the recipe read environment variable `NAME`")
			s.StringArrayVar(&f.secrets, "secret", nil, "declare a secret: `NAME=FROM`, FROM is env:VARIABLE, file:PATH or cmd:COMMAND")
		}),
		group("Servers (mepc-run help servers)", func(s *pflag.FlagSet) {
			s.StringVarP(&f.docker.Host, "docker", "H", "", "Docker engine `URL` (default $DOCKER_HOST, else the docker CLI's context)")
			s.StringVar(&f.docker.Context, "context", "", "Docker context `NAME`, as of the docker CLI")
			s.BoolVar(&f.insecure, "insecure-docker", false, "allow tcp without TLS to engines that are not on loopback")
			s.StringVar(&f.redis, "redis", "", redisUsage)
			s.StringSliceVar(&f.routers, "router", nil, "router `URL` to confirm switches through; several are separated by commas (default $MEPC_ROUTER)")
		}),
		group("Rehearsal (mepc-run help rehearsal)", f.rehearsal.add),
		group("Journal (mepc-run help journal)", func(s *pflag.FlagSet) {
			s.StringVar(&f.state, "state", "", stateUsage)
			s.Var(parsed(&f.keepRuns, positive), "keep-runs", "keep the journals of the last `N` runs (default 500)")
		}),
		group("Output", func(s *pflag.FlagSet) {
			s.BoolVar(&f.json, "json", false, "print one JSON object a line: each effect, then the result")
			s.BoolVarP(&f.quiet, "quiet", "q", false, "print only errors and results")
			s.BoolVarP(&f.verbose, "verbose", "v", false, "print also calls that only look, arguments, positions")
			s.BoolVar(&f.noColor, "no-color", false, "do not use colours (also NO_COLOR)")
		}),
		group("Limits", func(s *pflag.FlagSet) {
			s.Var(parsed(&f.timeout, positiveDuration), "timeout", "end the run after `TIME`, such as 10m (default none)")
			s.Var(parsed(&f.lockWait, runtime.ParseDuration), "lock-wait", "wait `TIME` for whoever has the lock and lives (default 0s)")
			s.Var(parsed(&f.grace, positiveDuration), "grace", "undoing may take this `TIME` after a failure (default 1m)")
			s.Var(parsed(&f.limits.Steps, positive), "max-steps", "the recipe may run `N` Lua instructions (default 100 million)")
			s.Var(parsed(&f.limits.HeapBytes, heapSize), "max-heap", "the recipe may use memory of `SIZE` (default 128MiB)")
			s.Var(parsed(&f.limits.SourceBytes, sourceSize), "max-source", "a recipe file may have `SIZE` (default 64KiB)")
			s.StringSliceVar(&f.allow, "allow", nil, "lift a `RESTRICTION`: "+strings.Join(allowed, ", "))
			s.Var(parsed(&f.seed, seed), "seed", "make the recipe's random numbers follow from `N` (default 1)")
		}),
	}
}

func (f *flags) add(root *cobra.Command) {
	for _, g := range f.groups() {
		root.Flags().AddFlagSet(g.FlagSet)
	}
	root.Flags().BoolVar(&f.version, "version", false, "as mepc-run version")
	root.Flags().Lookup("version").Hidden = true
}

// The restrictions that --allow lifts.
var allowed = []string{
	"privileged", "host-network", "host-pid", "host-ipc", "cap-add", "devices", "security-opt", "bind-root", "docker-socket",
	"redis-scripts", "redis-admin", secretCommands,
	guard.Routed, guard.EmptyList, guard.Versions,
}

// check refuses flags that make no sense, before anything is done.
func (f *flags) check() error {
	for _, a := range f.allow {
		if !slices.Contains(allowed, a) {
			return failure.New(failure.Usage, "--allow %s: no such restriction%s", a, runtime.DidYouMean(a, allowed)).
				WithHint("it is one of %s", strings.Join(allowed, ", "))
		}
	}
	for _, name := range f.env {
		if name, _, ok := strings.Cut(name, "="); ok {
			return failure.New(failure.Usage, "--env takes a name, and no value").
				WithHint("%s=... mepc-run ... --env %s", name, name)
		}
	}
	if err := f.rehearsal.check(); err != nil {
		return err
	}
	if f.quiet && f.verbose {
		return failure.New(failure.Usage, "--quiet and --verbose exclude each other")
	}
	return nil
}

// checkRouters refuses, before anything is done, what only the confirmation of a
// switch would find out.
func checkRouters(urls []string) error {
	for _, r := range urls {
		u, err := url.Parse(r)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return failure.New(failure.Usage, "--router %s: not a URL", r).WithHint("write it as http://127.0.0.1:8080")
		}
	}
	return nil
}

// parsedFlag is a flag whose text parse turns into a value.
type parsedFlag[T any] struct {
	to    *T
	parse func(string) (T, error)
}

func parsed[T any](to *T, parse func(string) (T, error)) pflag.Value {
	return &parsedFlag[T]{to, parse}
}

// Set parses s.
func (v *parsedFlag[T]) Set(s string) (err error) {
	*v.to, err = v.parse(s)
	return err
}

// String returns no default: the usage texts have them.
func (v *parsedFlag[T]) String() string { return "" }

// Type is never shown: the usage texts name the values.
func (v *parsedFlag[T]) Type() string { return "value" }

func positiveDuration(s string) (time.Duration, error) {
	d, err := runtime.ParseDuration(s)
	if err == nil && d == 0 {
		err = fmt.Errorf("%q is no time at all", s)
	}
	return d, err
}

func positive(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a whole number from 1", s)
	}
	return n, nil
}

func seed(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", s)
	}
	return n, nil
}

func heapSize(s string) (uint64, error) {
	n, err := runtime.ParseSize(s)
	if err == nil && n == 0 {
		err = errors.New("a recipe needs some memory")
	}
	return uint64(n), err
}

func sourceSize(s string) (int, error) {
	n, err := runtime.ParseSize(s)
	switch {
	case err == nil && n == 0:
		err = errors.New("a recipe has at least one byte")
	case err == nil && n > maxSource:
		err = errors.New("16MiB is the most")
	}
	return int(n), err
}

// maxSource is the most that --max-source may allow: the parser nests as deep
// as the text tells it to.
const maxSource = 16 << 20

// flagError says what is wrong with a flag, and what was meant.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	e := failure.New(failure.Usage, "%s", err).WithHint("%s --help lists the flags", cmd.CommandPath())
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		e.Message = "no flag -" + unknown.GetSpecifiedName()
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, "--"+f.Name)
			}
		})
		e.Message = "no flag --" + name + runtime.DidYouMean("--"+name, names)
		if cmd == cmd.Root() {
			e.Hint += "\na recipe's parameters have no dashes: " + name + "=..."
		}
	case errors.As(err, &invalid):
		e.Message = fmt.Sprintf("--%s: %s", invalid.GetFlag().Name, invalid.Unwrap())
	case errors.As(err, &missing):
		what, _ := pflag.UnquoteUsage(missing.GetFlag())
		e.Message = fmt.Sprintf("--%s wants a value: --%s %s", missing.GetFlag().Name, missing.GetFlag().Name, what)
	}
	return e
}

// noArgs refuses arguments, in words that do not take them for commands.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return failure.New(failure.Usage, "%s takes no arguments, got %q", cmd.CommandPath(), args[0]).
		WithHint("%s --help lists its flags", cmd.CommandPath())
}
