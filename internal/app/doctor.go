package app

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/doctor"
)

// doctorCmd is mepc-run doctor.
type doctorCmd struct{ *invocation }

func doctorCommand(in *invocation) *cobra.Command {
	c := &doctorCmd{in}
	cmd := &cobra.Command{
		Use: "doctor", Short: "Find trouble on the servers, and how to fix it", Args: noArgs,
		Long: `Checks the engine, Redis and the routers for what makes trouble in deployments:
versions, restarts, persistence, eviction, disk space, clocks. It only reads,
and says how to fix what it finds.

The exit code is 0 when all is well, 1 for warnings and 2 for problems. A server
that cannot be reached is a problem.`,
		Example: "  mepc-run doctor --router http://127.0.0.1:8080\n  mepc-run doctor --docker ssh://deploy@prod.example.com --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.BoolVar(&c.flags.json, "json", false, "print one JSON object a line: each check, then the result")
	c.pick(cmd, "docker", "context", "insecure-docker", "redis", "router", "no-color")
	return cmd
}

func (c *doctorCmd) run(ctx context.Context) error {
	routers := c.routers()
	if err := checkRouters(routers); err != nil {
		return err
	}
	all := doctor.Examine(doctor.Look(ctx, doctor.Options{
		Servers: c.servers(), Routers: routers, Clock: clock.Wall{}, Disk: diskSpace,
	}))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	worst := doctor.Worst(all)
	show := c.show
	if c.flags.json {
		show = c.showJSON
	}
	if err := show(all, worst); err != nil {
		return err
	}
	switch worst {
	case doctor.Warning:
		return shown{found{1, "there are warnings"}}
	case doctor.Problem:
		return shown{found{2, "there are problems"}}
	}
	return nil
}

// diskSpace tells of the room at a path of this machine that users may fill.
func diskSpace(path string) (free, total uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, err
	}
	size := uint64(s.Bsize) //nolint:gosec // it is positive
	return s.Bavail * size, s.Blocks * size, nil
}

func (c *doctorCmd) show(all []doctor.Finding, _ doctor.Level) error {
	style := c.styles(c.env.Stdout)
	marks := map[doctor.Level]string{
		doctor.OK: style.green("ok     "), doctor.Skipped: style.dim("skipped"),
		doctor.Warning: style.yellow("warning"), doctor.Problem: style.red("problem"),
	}
	var b strings.Builder
	server := ""
	for _, f := range all {
		if f.Server != server {
			server = f.Server
			fmt.Fprintf(&b, "%s\n", style.bold(printable(server)))
		}
		for i, line := range fold(oneLine(f.Message), columns-29) {
			if i == 0 {
				fmt.Fprintf(&b, "  %s  %-16s  %s\n", marks[f.Level], f.Check, line)
			} else {
				fmt.Fprintf(&b, "%29s%s\n", "", line)
			}
		}
		if f.Fix == "" {
			continue
		}
		for i, line := range fold(oneLine(f.Fix), columns-34) {
			before := "fix: "
			if i > 0 {
				before = "     "
			}
			fmt.Fprintf(&b, "%29s%s\n", "", style.dim(before+line))
		}
	}
	return c.print(b.String())
}

// checked is a line of --json.
type checked struct {
	Type    string `json:"type"`
	Server  string `json:"server"`
	Check   string `json:"check"`
	Level   string `json:"level"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

func (c *doctorCmd) showJSON(all []doctor.Finding, worst doctor.Level) error {
	var b strings.Builder
	for _, f := range all {
		line, err := json.Marshal(checked{"check", f.Server, f.Check, f.Level.String(), f.Message, f.Fix})
		if err != nil {
			return err
		}
		b.Write(append(line, '\n'))
	}
	fmt.Fprintf(&b, `{"type":"result","status":%q}`+"\n", worst)
	return c.print(b.String())
}
