package docker

import (
	"fmt"
	"strings"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"

	"github.com/mepc/mepc-run/runtime"
)

// mountArgs is one thing that is mounted into a container.
type mountArgs struct {
	Type     string       `lua:"type" default:"volume" enum:"volume|bind|tmpfs" doc:"a volume, a file or directory of the engine's machine, or memory"`
	Source   string       `lua:"source" doc:"the volume's name, which is made when it is not there, or the absolute path; a volume without a name goes with its container"`
	Target   string       `lua:"target,required" doc:"where it is in the container"`
	ReadOnly bool         `lua:"read_only" doc:"whether the container may only read it"`
	Size     runtime.Size `lua:"size" doc:"how large a tmpfs may become; unlimited when not given"`
	NoCopy   bool         `lua:"no_copy" doc:"leave a new volume empty, in place of what the image has there"`
}

func mountList(args []mountArgs) ([]mount.Mount, error) {
	var list []mount.Mount
	for i := range args {
		m, err := args[i].mount()
		if err != nil {
			return nil, fmt.Errorf("mounts[%d].%w", i+1, err)
		}
		list = append(list, m)
	}
	return list, nil
}

func (a *mountArgs) mount() (mount.Mount, error) {
	m := mount.Mount{Type: mount.Type(a.Type), Source: a.Source, Target: a.Target, ReadOnly: a.ReadOnly}
	switch {
	case !strings.HasPrefix(a.Target, "/"):
		return m, fmt.Errorf("target: %q does not begin with /", a.Target)
	case a.Type == "bind" && !strings.HasPrefix(a.Source, "/"):
		return m, fmt.Errorf("source: %q is not an absolute path, which a bind mount needs", a.Source)
	case a.Type == "volume" && a.Source != "" && checkRef("", a.Source) != nil:
		return m, fmt.Errorf("source: %q is not a volume's name", a.Source)
	case a.Type == "tmpfs" && a.Source != "":
		return m, fmt.Errorf("source: a tmpfs has none")
	case a.Type != "tmpfs" && a.Size > 0:
		return m, fmt.Errorf("size: only a tmpfs has one")
	case a.Type != "volume" && a.NoCopy:
		return m, fmt.Errorf("no_copy: only a volume is filled from the image")
	}
	if a.Size > 0 {
		m.TmpfsOptions = &mount.TmpfsOptions{SizeBytes: int64(a.Size)}
	}
	if a.NoCopy {
		m.VolumeOptions = &mount.VolumeOptions{NoCopy: true}
	}
	return m, nil
}

// settings is the engine's form of a place in a network.
func (p placeArgs) settings() *network.EndpointSettings {
	s := &network.EndpointSettings{Aliases: p.Aliases}
	if p.IP != "" {
		s.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: p.IP}
	}
	return s
}
