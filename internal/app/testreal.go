package app

import (
	"context"
	"debug/elf"
	"os"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/fixture"
	"github.com/mepc/mepc-run/internal/spec"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/servers"
)

// realTimeout limits a function of a spec in a real world.
const realTimeout = 2 * time.Minute

// checkReal wants the servers to be named: those that are found otherwise are
// somebody's.
func (t *testFlags) checkReal(set *pflag.FlagSet) error {
	switch {
	case !t.real:
		return nil
	case !set.Changed("docker") && !set.Changed("context") || !set.Changed("redis"):
		return failure.New(failure.Usage, "--real needs an engine and a Redis that are for tests alone").
			WithHint("name them: --docker URL --redis URL; whatever a test leaves there is removed")
	case t.cover || t.least > 0 || t.update || t.train || t.watch || t.faults.depth > 0 || t.faults.plan != "":
		return failure.New(failure.Usage, "--real cannot be combined with --coverage, --update, --train, --watch or --faults")
	}
	return nil
}

// realWorlds makes the worlds of specs real, one after the other.
func (c *testCmd) realWorlds(ctx context.Context, opts *spec.Options) (end func(), err error) {
	program, err := staticProgram()
	if err != nil {
		return nil, err
	}
	world := servers.Live(c.servers())
	ground, err := fixture.Open(ctx, world, program)
	if err != nil {
		world.Close()
		return nil, err
	}
	opts.Jobs = 1
	if opts.Timeout == 0 {
		opts.Timeout = realTimeout
	}
	opts.Real = func(ctx context.Context, st *state.State) (*spec.Real, error) {
		var known []string
		for _, r := range st.Routers {
			known = append(known, "http://"+r.Address)
		}
		if len(known) == 0 { // one that w:get asks, and of which recipes are not told
			st.Routers = append(slices.Clone(st.Routers), state.Router{Address: "127.0.0.1:0"})
		}
		host, err := c.hostFor(known, c.flags.specLimits())
		if err != nil {
			return nil, err
		}
		site, err := ground.Lay(ctx, st)
		return &spec.Real{Site: site, Clients: world, Host: host}, err
	}
	return world.Close, nil
}

// staticProgram reads this program's executable, which containers FROM scratch are
// to run.
func staticProgram() ([]byte, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, failure.Wrap(failure.Unavailable, err, "find this program's executable")
	}
	f, err := elf.Open(path)
	if err != nil {
		return nil, failure.Wrap(failure.NotModelled, err, "--real runs mepc-run in Linux containers: read %s", path)
	}
	defer f.Close()
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return nil, failure.New(failure.NotModelled, "--real runs mepc-run in containers that have no libraries, and %s needs some", path).
			WithHint("build it without cgo, as make build does: CGO_ENABLED=0")
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, failure.Wrap(failure.Unavailable, err, "read %s", path)
	}
	return program, nil
}
