package app

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/guard"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/runtime"
)

// flags are a run's, decoded.
type flags struct {
	settings
	varFiles []string
	json     bool
	quiet    bool
	verbose  bool
	noColor  bool
	version  bool

	rehearsal rehearsalFlags
}

// settings are the flags that decide what a run does. A server hands its own on to its
// workers, by a pipe: a command line could be read by everyone on the machine.
type settings struct {
	journal.Options // what a resumed run needs again
	Timeout         time.Duration
	Grace           time.Duration
	LockWait        time.Duration
	Limits          runtime.Limits
	State           string
	KeepRuns        int64
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
	f.Grace, f.KeepRuns = time.Minute, 500
	return []flagGroup{
		group("Parameters", func(s *pflag.FlagSet) {
			s.StringArrayVar(&f.varFiles, "var-file", nil, "read parameters from `FILE`: a JSON object, or lines of name=value")
			s.StringSliceVar(&f.Env, "env", nil, "let the recipe read environment variable `NAME`")
			s.StringArrayVar(&f.Secrets, "secret", nil, "declare a secret: `NAME=FROM`, FROM is env:VARIABLE, file:PATH or cmd:COMMAND")
		}),
		group("Servers (mepc-run help servers)", func(s *pflag.FlagSet) {
			s.StringVarP(&f.Docker, "docker", "H", "", "Docker engine `URL` (default $DOCKER_HOST, else the docker CLI's context)")
			s.StringVar(&f.Context, "context", "", "Docker context `NAME`, as of the docker CLI")
			s.BoolVar(&f.InsecureTCP, "insecure-docker", false, "allow tcp without TLS to engines that are not on loopback")
			s.StringVar(&f.Redis, "redis", "", redisUsage)
			s.StringSliceVar(&f.Routers, "router", nil, "router `URL` to confirm switches through; separate several with commas (default $MEPC_ROUTER)")
		}),
		group("Rehearsal (mepc-run help rehearsal)", f.rehearsal.add),
		group("Journal (mepc-run help journal)", func(s *pflag.FlagSet) {
			s.StringVar(&f.State, "state", "", stateUsage)
			s.Var(parsed(&f.KeepRuns, positive), "keep-runs", "keep the journals of the last `N` runs (default 500)")
		}),
		group("Output", func(s *pflag.FlagSet) {
			s.BoolVar(&f.json, "json", false, "print one JSON object a line: each effect, then the result")
			s.BoolVarP(&f.quiet, "quiet", "q", false, "print only errors and results")
			s.BoolVarP(&f.verbose, "verbose", "v", false, "also print read-only calls, arguments and positions")
			s.BoolVar(&f.noColor, "no-color", false, "do not use colours (also NO_COLOR)")
		}),
		group("Limits", func(s *pflag.FlagSet) {
			s.Var(parsed(&f.Timeout, positiveDuration), "timeout", "end the run after `TIME`, such as 10m (default none)")
			s.Var(parsed(&f.LockWait, runtime.ParseDuration), "lock-wait", "wait `TIME` for another run to release the app's lock (default 0s)")
			s.Var(parsed(&f.Grace, positiveDuration), "grace", "allow `TIME` for undoing after a failure (default 1m)")
			s.Var(parsed(&f.Limits.Steps, positive), "max-steps", "the recipe may run `N` Lua instructions (default 100 million)")
			s.Var(parsed(&f.Limits.HeapBytes, heapSize), "max-heap", "the recipe may use `SIZE` of memory (default 128MiB)")
			s.Var(parsed(&f.Limits.SourceBytes, sourceSize), "max-source", "a recipe file may be at most `SIZE` (default 64KiB)")
			s.StringSliceVar(&f.Allow, "allow", nil, "lift a `RESTRICTION`: "+strings.Join(allowed, ", "))
			s.Var(parsed(&f.Seed, seed), "seed", "seed the recipe's random numbers with `N` (default: drawn for each run)")
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
	for _, a := range f.Allow {
		if !slices.Contains(allowed, a) {
			return failure.New(failure.Usage, "--allow %s: no such restriction%s", a, runtime.DidYouMean(a, allowed)).
				WithHint("it is one of %s", strings.Join(allowed, ", "))
		}
	}
	for _, name := range f.Env {
		if name, _, ok := strings.Cut(name, "="); ok {
			return failure.New(failure.Usage, "--env takes a name without a value").
				WithHint("%s=... mepc-run ... --env %s", name, name)
		}
	}
	if err := f.rehearsal.check(); err != nil {
		return err
	}
	if f.quiet && f.verbose {
		return failure.New(failure.Usage, "--quiet and --verbose cannot be used together")
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
		err = fmt.Errorf("%q is too short: the time must be above zero", s)
	}
	return d, err
}

func positive(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a positive whole number", s)
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

// readopt takes the flags that a run was started with, where none are given now.
func (s *settings) readopt(given func(flag string) bool, then journal.Options) {
	now := s.Options
	s.Options = then
	s.RedisPassword = false // it is in none of them
	if given("docker") || given("context") {
		s.Docker, s.Context = now.Docker, now.Context
	}
	if given("redis") {
		s.Redis = now.Redis
	}
	s.InsecureTCP = s.InsecureTCP || now.InsecureTCP
	for flag, of := range map[string]struct {
		to    *[]string
		given []string
	}{"router": {&s.Routers, now.Routers}, "allow": {&s.Allow, now.Allow}, "env": {&s.Env, now.Env}, "secret": {&s.Secrets, now.Secrets}} {
		if given(flag) {
			*of.to = of.given
		}
	}
}

// drawSeed draws the seed of the run's random numbers, unless one is given: two runs
// must not name two things alike by chance. It stays below 2^53, for readers of JSON.
func (f *flags) drawSeed() {
	if f.Seed == 0 {
		f.Seed = 1 + rand.Int64N(1<<53-1)
	}
}

func heapSize(s string) (uint64, error) {
	n, err := runtime.ParseSize(s)
	if err == nil && n == 0 {
		err = errors.New("the memory limit must be above zero")
	}
	return uint64(n), err
}

func sourceSize(s string) (int, error) {
	n, err := runtime.ParseSize(s)
	switch {
	case err == nil && n == 0:
		err = errors.New("the size limit must be above zero")
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
			e.Hint += "\na recipe's parameters are written without dashes: " + strings.ReplaceAll(name, "-", "_") + "=..."
		}
	case errors.As(err, &invalid):
		e.Message = fmt.Sprintf("--%s: %s", invalid.GetFlag().Name, invalid.Unwrap())
	case errors.As(err, &missing):
		what, _ := pflag.UnquoteUsage(missing.GetFlag())
		e.Message = fmt.Sprintf("--%s needs a value: --%s %s", missing.GetFlag().Name, missing.GetFlag().Name, what)
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
