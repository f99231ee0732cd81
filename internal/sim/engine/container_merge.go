package engine

import (
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
)

// mergeImage fills what the request leaves out from the image.
func mergeImage(c, img *container.Config) {
	if c.User == "" {
		c.User = img.User
	}
	if len(c.ExposedPorts) == 0 {
		c.ExposedPorts = img.ExposedPorts
	} else if len(img.ExposedPorts) > 0 {
		c.ExposedPorts = maps.Clone(c.ExposedPorts)
		for p := range img.ExposedPorts {
			c.ExposedPorts[p] = struct{}{}
		}
	}
	c.Env = mergeEnv(c.Env, img.Env)
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	for k, v := range img.Labels {
		if _, ok := c.Labels[k]; !ok {
			c.Labels[k] = v
		}
	}
	if len(c.Entrypoint) == 0 {
		if len(c.Cmd) == 0 {
			c.Cmd = img.Cmd
		}
		if c.Entrypoint == nil {
			c.Entrypoint = img.Entrypoint
		}
	}
	if c.Healthcheck == nil {
		c.Healthcheck = img.Healthcheck
	} else if len(c.Healthcheck.Test) == 0 && img.Healthcheck != nil {
		h := *c.Healthcheck
		h.Test = img.Healthcheck.Test
		if h.Interval == 0 {
			h.Interval = img.Healthcheck.Interval
		}
		if h.Timeout == 0 {
			h.Timeout = img.Healthcheck.Timeout
		}
		if h.StartPeriod == 0 {
			h.StartPeriod = img.Healthcheck.StartPeriod
		}
		if h.Retries == 0 {
			h.Retries = img.Healthcheck.Retries
		}
		c.Healthcheck = &h
	}
	if c.WorkingDir == "" {
		c.WorkingDir = img.WorkingDir
	}
	if c.StopSignal == "" {
		c.StopSignal = img.StopSignal
	}
	if len(c.Volumes) == 0 {
		c.Volumes = img.Volumes
	}
}

// mergeEnv puts the image's variables that are not set anew behind the
// container's own.
func mergeEnv(own, img []string) []string {
	if len(own) == 0 {
		return img
	}
	out := slices.Clone(own)
	for _, v := range img {
		name, _, _ := strings.Cut(v, "=")
		if !slices.ContainsFunc(own, func(o string) bool { k, _, _ := strings.Cut(o, "="); return k == name }) {
			out = append(out, v)
		}
	}
	return out
}

// completeHost fills in what the engine fills in.
func completeHost(h *container.HostConfig) {
	if h.NetworkMode == "" {
		h.NetworkMode = "default"
	}
	if h.ShmSize == 0 {
		h.ShmSize = 64 << 20
	}
	if h.IpcMode == "" {
		h.IpcMode = "private"
	}
	if h.CgroupnsMode == "" {
		h.CgroupnsMode = "host"
	}
	if h.LogConfig.Type == "" {
		h.LogConfig.Type = "json-file"
	}
	if h.LogConfig.Config == nil {
		h.LogConfig.Config = map[string]string{}
	}
	if h.Memory > 0 && h.MemorySwap == 0 {
		h.MemorySwap = 2 * h.Memory
	}
	if h.Runtime == "" {
		h.Runtime = "runc"
	}
}
