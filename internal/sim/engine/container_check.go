package engine

import (
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
)

// checkCreate refuses what the engine refuses before it looks at the image, in
// its words. What the world cannot keep its promise about is not modelled.
func checkCreate(req *createRequest) error {
	if err := checkConfig(req.Config); err != nil {
		return err
	}
	h := req.HostConfig
	if h.AutoRemove && !h.RestartPolicy.IsNone() && h.RestartPolicy.Name != "" {
		return badRequest("can't create 'AutoRemove' container with restart policy")
	}
	if err := checkPorts(h); err != nil {
		return err
	}
	if err := checkRestart(h.RestartPolicy); err != nil {
		return err
	}
	if h.Memory != 0 && h.Memory < 6<<20 {
		return badRequest("Minimum memory limit allowed is 6MB")
	}
	if h.NetworkMode.IsContainer() && len(req.ExposedPorts) > 0 && len(h.PortBindings) > 0 {
		return badRequest("conflicting options: port publishing and the container type network mode")
	}
	if len(h.Links) > 0 && h.NetworkMode.IsHost() {
		return badRequest("conflicting options: host type networking can't be used with links. This would result in undefined behavior")
	}
	switch {
	case len(h.VolumesFrom) > 0:
		return notModelled("HostConfig.VolumesFrom")
	case h.Isolation != "" && h.Isolation != "default":
		return notModelled("HostConfig.Isolation")
	}
	return nil
}

func checkConfig(c *container.Config) error {
	if c.WorkingDir != "" {
		if !path.IsAbs(c.WorkingDir) {
			return badRequest("the working directory '%s' is invalid, it needs to be an absolute path", c.WorkingDir)
		}
		c.WorkingDir = path.Clean(c.WorkingDir)
	}
	if c.StopSignal != "" && !validSignal(c.StopSignal) {
		return badRequest("Invalid signal: %s", c.StopSignal)
	}
	for _, e := range c.Env {
		if strings.HasPrefix(e, "=") || e == "" {
			return badRequest("invalid environment variable: %s", e)
		}
	}
	if h := c.Healthcheck; h != nil {
		for _, d := range []struct {
			name  string
			value time.Duration
		}{{"Interval", h.Interval}, {"Timeout", h.Timeout}, {"StartPeriod", h.StartPeriod}} {
			if d.value != 0 && d.value < time.Millisecond {
				return badRequest("%s in Healthcheck cannot be less than 1ms", d.name)
			}
		}
		if h.Retries < 0 {
			return badRequest("Retries in Healthcheck cannot be negative")
		}
	}
	return nil
}

func checkPorts(h *container.HostConfig) error {
	for port, list := range h.PortBindings {
		_, number := nat.SplitProtoPort(string(port))
		if n, err := strconv.Atoi(number); err != nil || n < 0 || n > 65535 {
			return badRequest("invalid port specification: %q", number)
		}
		for _, b := range list {
			if b.HostPort == "" {
				continue
			}
			if _, _, err := nat.ParsePortRange(b.HostPort); err != nil {
				return badRequest("invalid port specification: %q", b.HostPort)
			}
		}
	}
	return nil
}

func checkRestart(p container.RestartPolicy) error {
	switch p.Name {
	case "always", "unless-stopped", "no":
		if p.MaximumRetryCount != 0 {
			return badRequest("maximum retry count cannot be used with restart policy '%s'", p.Name)
		}
	case "on-failure":
		if p.MaximumRetryCount < 0 {
			return badRequest("maximum retry count cannot be negative")
		}
	case "":
	default:
		return badRequest("invalid restart policy '%s'", p.Name)
	}
	return nil
}
