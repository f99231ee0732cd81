package docker

import (
	"context"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/runtime"
)

func dfFunc() runtime.Func {
	return runtime.Func{
		Name: "df", Class: runtime.Read,
		Doc:  "Adds up what the engine's images, containers, volumes and build cache take on its disk. With much on it that takes the engine a while.",
		From: "GET /system/df", Returns: "the sizes", Raises: reads(),
		Example: `log("images: " .. docker.df().images.bytes .. " bytes")`,
		Call:    runtime.Effect((*Engine).df),
	}
}

// DiskUsage is what an engine has on its disk.
type DiskUsage struct {
	Images     Usage `lua:"images" doc:"images; layers that several share count once"`
	Containers Usage `lua:"containers" doc:"what containers wrote outside of volumes"`
	Volumes    Usage `lua:"volumes" doc:"volumes"`
	BuildCache Usage `lua:"build_cache" doc:"what builds keep for the next one"`
}

// Usage is what one kind of thing takes.
type Usage struct {
	Count       int          `lua:"count" doc:"how many there are"`
	Active      int          `lua:"active" doc:"how many of them are in use"`
	Bytes       runtime.Size `lua:"bytes" doc:"what they take"`
	Reclaimable runtime.Size `lua:"reclaimable" doc:"what those that are not in use take; of images, without what others share"`
}

func (e *Engine) df(ctx context.Context, _ *runtime.None) (*DiskUsage, error) {
	var raw types.DiskUsage
	err := e.read(ctx, func(ctx context.Context, c *client.Client) (err error) {
		raw, err = c.DiskUsage(ctx, types.DiskUsageOptions{})
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &DiskUsage{}
	for _, i := range raw.Images {
		out.Images.count(i.Containers > 0, max(0, i.Size-max(0, i.SharedSize)))
	}
	out.Images.Bytes = runtime.Size(raw.LayersSize)
	for _, c := range raw.Containers {
		out.Containers.count(c.State == "running" || c.State == "paused" || c.State == "restarting", c.SizeRw)
	}
	for _, v := range raw.Volumes {
		if u := v.UsageData; u != nil {
			out.Volumes.count(u.RefCount > 0, max(0, u.Size))
		} else {
			out.Volumes.count(true, 0) // not known
		}
	}
	for _, b := range raw.BuildCache {
		if !b.Shared {
			out.BuildCache.count(b.InUse, b.Size)
		} else {
			out.BuildCache.count(true, 0)
		}
	}
	return out, nil
}

// count adds one thing.
func (u *Usage) count(active bool, bytes int64) {
	u.Count++
	u.Bytes += runtime.Size(bytes)
	if active {
		u.Active++
	} else {
		u.Reclaimable += runtime.Size(bytes)
	}
}
