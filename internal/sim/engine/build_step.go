package engine

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
)

// step applies one instruction to the stage.
func (b *builder) step(s instruction) error {
	rest := s.rest
	switch s.cmd {
	case "LABEL", "EXPOSE", "ENV", "STOPSIGNAL", "USER", "WORKDIR", "VOLUME", "COPY", "ADD":
		rest = expand(rest, b.args)
	}
	var err error
	by := "/bin/sh -c #(nop)  " + s.cmd + " " + rest
	switch s.cmd {
	case "ARG":
		err = b.arg(rest)
	case "ENV":
		err = b.env(rest)
	case "LABEL":
		err = b.label(rest)
	case "EXPOSE":
		err = b.expose(words(rest))
	case "CMD":
		b.config.Cmd, b.cmdSet = command(s), true
	case "ENTRYPOINT":
		b.config.Entrypoint = command(s)
		if !b.cmdSet {
			b.config.Cmd = nil
		}
	case "HEALTHCHECK":
		err = b.healthcheck(s)
	case "STOPSIGNAL":
		if b.config.StopSignal = rest; !validSignal(rest) {
			err = serverError("Invalid signal: %s", rest)
		}
	case "USER":
		b.config.User = rest
	case "WORKDIR":
		b.config.WorkingDir = path.Join("/", b.config.WorkingDir, rest)
		if path.IsAbs(rest) {
			b.config.WorkingDir = path.Clean(rest)
		}
	case "VOLUME":
		b.volume(s, rest)
	case "COPY", "ADD":
		return b.copy(s, rest)
	case "RUN":
		return b.exec(s)
	case "ONBUILD", "SHELL":
		return notModelled("%s in a Dockerfile (line %d)", s.cmd, s.line)
	case "MAINTAINER":
	}
	if err == nil && b.config != nil {
		b.history = append(b.history, historyEntry{Created: b.now, CreatedBy: by, EmptyLayer: true})
	}
	return err
}

// command is the exec form, or the shell form wrapped in a shell.
func command(s instruction) []string {
	if s.list != nil {
		return s.list
	}
	return []string{"/bin/sh", "-c", s.rest}
}

func (b *builder) arg(rest string) error {
	if b.args == nil {
		b.args = map[string]string{}
	}
	for _, w := range words(rest) {
		name, value, _ := strings.Cut(w, "=")
		value = expand(value, b.args)
		if given, ok := b.given[name]; ok {
			value = given
		}
		b.args[name] = value
		b.key = hexSum([]byte(b.key + "\nARG " + name + "=" + value))
	}
	return nil
}

func (b *builder) env(rest string) error {
	all, err := pairs(rest)
	if err != nil {
		return fmt.Errorf("ENV %w", err)
	}
	for _, p := range all {
		b.args[p[0]] = p[1]
		entry := p[0] + "=" + p[1]
		n := slices.IndexFunc(b.config.Env, func(e string) bool { return strings.HasPrefix(e, p[0]+"=") })
		if n >= 0 {
			b.config.Env[n] = entry
		} else {
			b.config.Env = append(b.config.Env, entry)
		}
	}
	return nil
}

func (b *builder) label(rest string) error {
	all, err := pairs(rest)
	if err != nil {
		return fmt.Errorf("LABEL %w", err)
	}
	for _, p := range all {
		if b.config.Labels == nil {
			b.config.Labels = map[string]string{}
		}
		b.config.Labels[p[0]] = p[1]
	}
	return nil
}

func (b *builder) expose(ports []string) error {
	for _, p := range ports {
		all, err := nat.ParsePortSpec(p)
		if err != nil {
			return err
		}
		for _, m := range all {
			if b.config.ExposedPorts == nil {
				b.config.ExposedPorts = nat.PortSet{}
			}
			b.config.ExposedPorts[m.Port] = struct{}{}
		}
	}
	return nil
}

func (b *builder) volume(s instruction, rest string) {
	names := s.list
	if names == nil {
		names = words(rest)
	}
	if b.config.Volumes == nil {
		b.config.Volumes = map[string]struct{}{}
	}
	for _, v := range names {
		b.config.Volumes[v] = struct{}{}
	}
}

func (b *builder) healthcheck(s instruction) error {
	h := &container.HealthConfig{}
	word, rest, _ := strings.Cut(s.rest, " ")
	switch strings.ToUpper(word) {
	case "NONE":
		h.Test = []string{"NONE"}
	case "CMD":
		c := parseCommand(strings.TrimSpace(rest))
		if c == nil {
			h.Test = []string{"CMD-SHELL", strings.TrimSpace(rest)}
		} else {
			h.Test = append([]string{"CMD"}, c...)
		}
	default:
		return serverError("Unknown type %q in HEALTHCHECK (try CMD)", word)
	}
	for name, d := range map[string]*time.Duration{"interval": &h.Interval, "timeout": &h.Timeout, "start-period": &h.StartPeriod} {
		if v, ok := s.flags[name]; ok {
			p, err := time.ParseDuration(v)
			if err != nil {
				return err
			}
			*d = p
		}
	}
	if v, ok := s.flags["retries"]; ok {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return fmt.Errorf("--retries must be at least 1 (not %s)", v)
		}
		h.Retries = n
	}
	b.config.Healthcheck = h
	return nil
}

// exec is RUN: what it would do is not known.
func (b *builder) exec(s instruction) error {
	c := command(s)
	if has, known := b.hasFile(c[0]); known && !has {
		return fmt.Errorf("%s", missingProgram(c[0], ociCreate))
	}
	b.known = false
	l, err := textLayer(".rehearsed-run", b.key+"\n"+s.rest+"\n")
	if err != nil {
		return err
	}
	l.files, l.size = nil, 0
	b.layers = append(b.layers, l)
	b.history = append(b.history, historyEntry{Created: b.now, CreatedBy: "/bin/sh -c " + s.rest})
	return nil
}

func (b *builder) hasFile(name string) (has, known bool) {
	if !b.known {
		return false, false
	}
	for _, l := range b.layers {
		if l.files == nil {
			return false, false
		}
		has = has || l.files[name]
	}
	return has, true
}
