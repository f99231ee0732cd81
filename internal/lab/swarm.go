package lab

import (
	"context"
	"fmt"

	"github.com/docker/docker/api/types/network"
)

// PrepareSwarm makes the engine fit to become a node of a swarm: it gets the bridge
// that a swarm's containers reach the world by. The engine would make one itself, and
// call it docker_gwbridge, as the machine's own engine does.
func (e *Engine) PrepareSwarm(ctx context.Context) error {
	if !e.Owned() {
		return errBorrowed
	}
	cli, err := e.Client()
	if err != nil {
		return err
	}
	defer cli.Close()
	_, err = cli.NetworkCreate(ctx, "docker_gwbridge", network.CreateOptions{Driver: "bridge", Options: map[string]string{
		"com.docker.network.bridge.name":       "br-" + e.net.bridge + "gw", // releaseNetwork knows it by its address
		"com.docker.network.bridge.enable_icc": "false",
	}})
	if err != nil {
		return fmt.Errorf("prepare a swarm: %w", err)
	}
	return nil
}
