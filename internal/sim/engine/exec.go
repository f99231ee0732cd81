package engine

import (
	"net/http"
	"strings"

	"github.com/mepc/mepc-run/internal/state"
)

// execution is a command that is, or was, run in a container. It is replaced and
// not modified.
type execution struct {
	id        string
	container string
	argv      []string
	tty       bool
	stdin     bool
	stdout    bool
	stderr    bool
	started   bool
	exitCode  *int
	pid       int
}

func execCreate(c *call) (reply, error) {
	box, err := c.e.find(c.name)
	if err != nil {
		return reply{}, err
	}
	var req struct {
		Cmd                                          []string
		Tty, AttachStdin, AttachStdout, AttachStderr bool
	}
	if err := c.decode(&req); err != nil {
		return reply{}, err
	}
	if len(req.Cmd) == 0 {
		return reply{}, badRequest("No exec command specified")
	}
	switch box.status {
	case running:
	case paused:
		return reply{}, conflict("Container %s is paused, unpause the container before exec", c.name)
	case restarting:
		return reply{}, conflict("Container %s is restarting, wait until the container is running", box.id)
	default:
		return reply{}, conflict("Container %s is not running", box.id)
	}
	x := &execution{
		container: box.id, argv: req.Cmd, tty: req.Tty, stdin: req.AttachStdin, stdout: req.AttachStdout, stderr: req.AttachStderr,
	}
	x.id = c.e.newID("exec", box.id)
	c.e.execs[x.id] = x
	c.e.emitContainer(box, c.now, "exec_create: "+strings.Join(req.Cmd, " "), "execID", x.id)
	return jsonReply(http.StatusCreated, struct {
		ID string `json:"Id"`
	}{x.id})
}

// execStart answers with the output that the image's fixture has for the
// command. The connection is not upgraded: what a client would write to the
// command goes nowhere.
func execStart(c *call) (reply, error) {
	var req struct{ Detach, Tty bool }
	if err := c.decode(&req); err != nil {
		return reply{}, err
	}
	raw := reply{status: http.StatusOK, ctype: "application/vnd.docker.raw-stream"}

	now := c.timeline.Lock()
	x := c.e.execs[c.name]
	if x == nil {
		c.timeline.Unlock()
		return reply{}, notFound("No such exec instance: %s", c.name)
	}
	if box := c.e.containers[x.container]; box != nil && !box.running() {
		why := box.statusText(now)
		c.timeline.Unlock()
		return reply{}, serverError("Container %s is not running: %s", box.id, why)
	}
	if x.started {
		c.timeline.Unlock()
		why := "Error: Exec command " + x.id + " has already run\r\n"
		if req.Detach {
			return reply{}, conflict("%s", strings.TrimSpace(why))
		}
		raw.body = frame(false, why)
		return raw, nil
	}
	box := c.e.containers[x.container]
	if box == nil || box.status != running {
		c.timeline.Unlock()
		return reply{}, conflict("Container %s is not running", x.container)
	}
	next := *x
	next.started = true
	c.e.execs[x.id] = &next
	if box.lacks(x.argv[0]) {
		code := 126
		next.exitCode = &code
		c.timeline.Unlock()
		why := missingProgram(x.argv[0], ociExec)
		if req.Detach {
			return reply{}, badRequest("%s", why)
		}
		raw.body = frame(false, why+"\r\n")
		return raw, nil
	}
	result, ok := box.behaviour.Exec[strings.Join(x.argv, " ")]
	if !ok {
		result, ok = box.behaviour.Exec["*"]
	}
	if !ok {
		c.e.execs[x.id] = x
		c.timeline.Unlock()
		return reply{}, notModelled("%q in a container of %s: its fixture says nothing about it (behaviour.exec)", strings.Join(x.argv, " "), box.imageRef)
	}
	c.e.seq++
	next.pid = 1000 + c.e.seq
	c.e.emitContainer(box, now, "exec_start: "+strings.Join(x.argv, " "), "execID", x.id)
	c.timeline.Unlock()
	if d := result.Delay.Std(); d > 0 && !req.Detach {
		if err := c.timeline.Sleep(c.ctx, d); err != nil {
			return reply{}, err
		}
	}
	now = c.timeline.Lock()
	defer c.timeline.Unlock()
	done := next
	done.exitCode = &result.ExitCode
	if c.e.execs[x.id] != nil {
		c.e.execs[x.id] = &done
		c.e.emitContainer(box, now, "exec_die", "execID", x.id)
	}
	if req.Detach {
		return reply{status: http.StatusOK}, nil
	}
	raw.body = x.output(result)
	return raw, nil
}

func (x *execution) output(r state.ExecResult) []byte {
	var out []byte
	for _, s := range []struct {
		on     bool
		stderr bool
		text   string
	}{{x.stdout, false, r.Stdout}, {x.stderr, true, r.Stderr}} {
		switch {
		case !s.on || s.text == "":
		case x.tty:
			out = append(out, s.text...)
		default:
			out = append(out, frame(s.stderr, s.text)...)
		}
	}
	return out
}

func execInspect(c *call) (reply, error) {
	x := c.e.execs[c.name]
	if x == nil {
		return reply{}, notFound("No such exec instance: %s", c.name)
	}
	type process struct {
		Tty        bool     `json:"tty"`
		Entrypoint string   `json:"entrypoint"`
		Arguments  []string `json:"arguments"`
		Privileged bool     `json:"privileged"`
	}
	return jsonReply(http.StatusOK, struct {
		ID            string
		Running       bool
		ExitCode      *int
		ProcessConfig process
		OpenStdin     bool
		OpenStderr    bool
		OpenStdout    bool
		CanRemove     bool
		ContainerID   string
		DetachKeys    string
		Pid           int
	}{
		x.id, x.started && x.exitCode == nil, x.exitCode,
		process{x.tty, x.argv[0], x.argv[1:], false},
		x.stdin, x.stderr, x.stdout, false, x.container, "", x.pid,
	})
}
