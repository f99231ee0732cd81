package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

func execFunc() runtime.Func {
	return runtime.Func{
		Name: "exec", Class: runtime.Write,
		Doc: "Runs a program in a running container and waits for its end. An exit code other than 0 is an error, unless check is false. " +
			"The program has no input: put what it is to read into a file with docker.copy_to. When the time is up the program runs on: the engine cannot end it. " +
			"A rehearsal answers with what the image's fixture in the world file says (behaviour.exec), and ends as not_modelled where it says nothing.",
		From: "POST /containers/{id}/exec, POST /exec/{id}/start, GET /exec/{id}/json", Returns: "how it went",
		Raises:  writes(failure.Invalid, failure.NotFound, failure.Conflict, failure.Denied),
		Example: `local out = docker.exec("app-blue", {"/app", "-check"}, {timeout = "30s"}).stdout`,
		Call:    runtime.Effect((*Engine).exec),
	}
}

type execArgs struct {
	Container  string            `lua:"container,pos,required,target" doc:"its name or ID"`
	Cmd        []string          `lua:"cmd,pos,required" doc:"the program and its arguments; no shell takes them apart"`
	Env        map[string]string `lua:"env,secret" doc:"further environment variables; values may be secrets"`
	User       string            `lua:"user" doc:"who runs it; the container's own user when not given"`
	WorkingDir string            `lua:"working_dir" doc:"where it starts; the container's own directory when not given"`
	TTY        bool              `lua:"tty" doc:"give it a terminal; its errors are then part of its output"`
	Privileged bool              `lua:"privileged" doc:"no isolation from the engine's machine; needs --allow privileged"`
	Check      bool              `lua:"check" default:"true" doc:"whether an exit code other than 0 is an error"`
	Max        runtime.Size      `lua:"max" default:"1MiB" max:"268435456" doc:"how much of its output, and as much of its errors, is kept; the beginning is cut off"`
	Timeout    time.Duration     `lua:"timeout" default:"1m" min:"0.001" doc:"how long it may take"`
}

func (a *execArgs) Validate() error {
	if len(a.Cmd) == 0 || a.Cmd[0] == "" {
		return errors.New("cmd: the program is missing")
	}
	if a.WorkingDir != "" && !strings.HasPrefix(a.WorkingDir, "/") {
		return fmt.Errorf("working_dir: %q does not begin with /", a.WorkingDir)
	}
	if err := checkEnv(a.Env); err != nil {
		return err
	}
	return checkRef("container", a.Container)
}

// Op bounds the call by its own option.
func (a *execArgs) Op(op *effect.Op) { op.Timeout = a.Timeout }

// Executed is how a program in a container ended.
type Executed struct {
	ExitCode int    `lua:"exit_code" alias:"code|status|exit|rc|exitcode" doc:"0 is success"`
	Stdout   string `lua:"stdout" alias:"output|out|body|text" doc:"its output, byte for byte"`
	Stderr   string `lua:"stderr" alias:"err|error|errors" doc:"its errors, byte for byte; empty with tty"`
}

func (e *Engine) exec(ctx context.Context, a *execArgs) (*Executed, error) {
	if a.Privileged && !e.allow.Privileged {
		return nil, denied("privileged", "a privileged program")
	}
	ref, err := e.sure(ctx, a.Container)
	if err != nil {
		return nil, err
	}
	id, err := e.execCreate(ctx, ref, a)
	if err != nil {
		return nil, hint(err, failure.Conflict, "a program needs a container that runs: docker.start(%q)", a.Container)
	}
	stdout, stderr := &lastBytes{most: int(a.Max)}, &lastBytes{most: int(a.Max)}
	if err := e.execStart(ctx, id, a.TTY, stdout, stderr); err != nil {
		return nil, err
	}
	code, err := e.execCode(ctx, id)
	if err != nil {
		return nil, err
	}
	out := &Executed{ExitCode: code, Stdout: stdout.all(), Stderr: stderr.all()}
	effect.Note(ctx, fmt.Sprintf("exit code %d", code))
	if code != 0 && a.Check {
		return nil, execFailed(a, out)
	}
	return out, nil
}

func (e *Engine) execCreate(ctx context.Context, ref string, a *execArgs) (id string, err error) {
	err = e.change(ctx, func(ctx context.Context, c *client.Client) error {
		resp, err := c.ContainerExecCreate(ctx, ref, container.ExecOptions{
			Cmd: a.Cmd, Env: envList(a.Env), User: a.User, WorkingDir: a.WorkingDir, Tty: a.TTY, Privileged: a.Privileged,
			AttachStdout: true, AttachStderr: true,
		})
		id = resp.ID
		return err
	}, func(context.Context) (bool, string, error) {
		return false, "nothing was started", nil // created is not run: there is nothing to undo or to find
	})
	return id, err
}

// execStart runs what was created and reads its output to the end.
func (e *Engine) execStart(ctx context.Context, id string, tty bool, stdout, stderr io.Writer) error {
	x := &servers.Exchange{Endpoint: e.Endpoint(), Mutates: true}
	watched := x.Watch(ctx)
	body, err := e.world.DockerPost(watched, e.ep, "/exec/"+id+"/start", container.ExecStartOptions{Tty: tty})
	if err == nil {
		defer body.Close()
		if tty {
			_, err = io.Copy(stdout, body)
		} else {
			_, err = stdcopy.StdCopy(stdout, stderr, body)
		}
	}
	return x.Failure(ctx, err)
}

// execCode asks for the exit code. The output may end a moment before the
// engine knows it.
func (e *Engine) execCode(ctx context.Context, id string) (int, error) {
	for {
		var got container.ExecInspect
		err := e.read(ctx, func(ctx context.Context, c *client.Client) (err error) {
			got, err = c.ContainerExecInspect(ctx, id)
			return err
		})
		if err != nil || !got.Running {
			return got.ExitCode, err
		}
		if err := e.world.Clock().Sleep(ctx, settleInterval/10); err != nil {
			return 0, err
		}
	}
}

func execFailed(a *execArgs, out *Executed) error {
	f := failure.New(failure.Refused, "%s ended with exit code %d", a.Cmd[0], out.ExitCode).
		WithHint("check = false returns the code instead")
	text := strings.TrimSpace(out.Stderr)
	if text == "" {
		text = strings.TrimSpace(out.Stdout)
	}
	switch {
	case (out.ExitCode == 126 || out.ExitCode == 127) && strings.Contains(out.Stdout+out.Stderr, "OCI runtime exec failed"):
		f.Kind, f.Message = failure.Invalid, fmt.Sprintf("%s cannot be run in %s", a.Cmd[0], a.Container)
		f.Hint = "is the program in the image, and may it be executed?"
	case text == "":
		f.Details = "it wrote nothing"
		return f
	}
	f.Details = "the last lines that it wrote:\n" + lastOf(text, 20)
	return f
}
