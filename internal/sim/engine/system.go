package engine

import (
	"net/http"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"github.com/mepc/mepc-run/internal/state"
)

func ping(c *call) (reply, error) {
	return reply{status: http.StatusOK, ctype: "text/plain; charset=utf-8", body: []byte("OK")}, nil
}

func version(c *call) (reply, error) {
	type component struct {
		Name    string
		Version string
		Details map[string]string
	}
	v := c.e.version
	return jsonReply(http.StatusOK, struct {
		Platform                           struct{ Name string }
		Components                         []component
		Version, ApiVersion, MinAPIVersion string //nolint:staticcheck // the API's spelling
		GitCommit, GoVersion, Os, Arch     string
		KernelVersion, BuildTime           string
	}{
		Components: []component{{"Engine", v, map[string]string{
			"ApiVersion": apiVersion, "Arch": "amd64", "Experimental": "false", "MinAPIVersion": minAPIVersion, "Os": "linux",
		}}},
		Version: v, ApiVersion: apiVersion, MinAPIVersion: minAPIVersion, GitCommit: "simulated", GoVersion: "go", Os: "linux", Arch: "amd64",
		KernelVersion: "simulated", BuildTime: state.Epoch().Format(time.RFC3339),
	})
}

func info(c *call) (reply, error) {
	e := c.e
	count := map[status]int{}
	for _, box := range e.containers {
		count[box.status]++
	}
	driver, driverStatus := "overlay2", [][2]string{{"Backing Filesystem", "extfs"}, {"Supports d_type", "true"}}
	if e.packs {
		driver, driverStatus = "overlayfs", [][2]string{{"driver-type", "io.containerd.snapshotter.v1"}}
	}
	id := strings.ToUpper(hexSum([]byte("engine " + e.name)))
	return jsonReply(http.StatusOK, struct {
		ID                                                                         string
		Containers, ContainersRunning, ContainersPaused, ContainersStopped, Images int
		Driver                                                                     string
		DriverStatus                                                               [][2]string
		MemoryLimit, SwapLimit, PidsLimit, IPv4Forwarding                          bool
		SystemTime                                                                 time.Time
		LoggingDriver, CgroupDriver, CgroupVersion                                 string
		KernelVersion, OperatingSystem, OSType, Architecture                       string
		IndexServerAddress                                                         string
		NCPU                                                                       int
		MemTotal                                                                   int64
		DockerRootDir, Name                                                        string
		Labels                                                                     []string
		ServerVersion, DefaultRuntime                                              string
		Swarm                                                                      swarm.Info
		LiveRestoreEnabled                                                         bool
		SecurityOptions, Warnings                                                  []string
	}{
		ID: id[:4] + ":" + id[4:8] + ":" + id[8:12], Containers: len(e.containers),
		ContainersRunning: count[running] + count[restarting], ContainersPaused: count[paused], ContainersStopped: count[created] + count[exited],
		Images: len(e.images), Driver: driver, DriverStatus: driverStatus,
		MemoryLimit: true, SwapLimit: true, PidsLimit: true, IPv4Forwarding: true, SystemTime: c.now,
		LoggingDriver: "json-file", CgroupDriver: "cgroupfs", CgroupVersion: "1", KernelVersion: "simulated",
		OperatingSystem: "simulated", OSType: "linux", Architecture: "x86_64", IndexServerAddress: "https://index.docker.io/v1/",
		NCPU: 2, MemTotal: 8 << 30, DockerRootDir: "/var/lib/docker", Name: e.name, Labels: []string{}, ServerVersion: e.version,
		DefaultRuntime: "runc", Swarm: e.swarmInfo(),
	})
}

func diskUsage(c *call) (reply, error) {
	e := c.e
	images := []imageSummary{}
	layers := map[string]int64{}
	for _, i := range e.orderedImages() {
		for n, chain := range chainIDs(i.layers) {
			layers[chain] = i.layers[n].size
		}
		s := imageSummary{
			Containers: len(e.usersOf(i.id)), Created: i.created.Unix(), ID: i.id, Labels: i.config.Labels, ParentID: i.parent,
			RepoTags: i.refs, Size: i.size(), VirtualSize: i.size(),
		}
		images = append(images, s)
	}
	var total int64
	for _, size := range layers {
		total += size
	}
	boxes := []containerSummary{}
	for _, box := range e.ordered() {
		boxes = append(boxes, e.summary(box, c.now, true))
	}
	volumes := []volumeJSON{}
	for _, v := range e.orderedVolumes() {
		volumes = append(volumes, v.json())
	}
	return jsonReply(http.StatusOK, struct {
		LayersSize  int64
		Images      []imageSummary
		Containers  []containerSummary
		Volumes     []volumeJSON
		BuildCache  []string
		BuilderSize int64
	}{LayersSize: total, Images: images, Containers: boxes, Volumes: volumes})
}
