package sim_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/snapshot"
	"github.com/mepc/mepc-run/internal/state"
)

// cluster is a world with a service on three nodes, one of which is drained.
func cluster(t *testing.T) *sim.World {
	three := 3
	return worldIn(t, &state.State{Format: state.Format, Engines: []state.Engine{{
		Images: []state.Image{{Ref: "app:1"}, {Ref: "app:2"}, {Ref: "app:3", Behaviour: &state.Behaviour{ExitOnStart: true, ExitCode: 1}}},
		Swarm: &state.Swarm{
			Labels: map[string]string{"zone": "a"}, Nodes: []state.Node{{Name: "b"}, {Name: "c", Availability: "drain"}},
			Services: []state.Service{{Name: "app", Image: "app:1", Replicas: &three}}, Secrets: []string{"pw"}, Configs: map[string]string{"conf": "x"},
		},
	}}})
}

// taskImages says how many tasks of each image run.
func taskImages(t *testing.T, w *sim.World) map[string]int {
	t.Helper()
	tasks, err := dockerClient(t, w.Engine("")).TaskList(t.Context(), swarm.TaskListOptions{Filters: filters.NewArgs(filters.Arg("desired-state", "running"))})
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, task := range tasks {
		if task.Status.State == swarm.TaskStateRunning {
			count[task.Spec.ContainerSpec.Image]++
		}
	}
	return count
}

// setImage gives the service another image, with an update as cfg says.
func setImage(t *testing.T, w *sim.World, image string, cfg swarm.UpdateConfig) {
	t.Helper()
	cli := dockerClient(t, w.Engine(""))
	s, _, err := cli.ServiceInspectWithRaw(t.Context(), "app", swarm.ServiceInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Spec.TaskTemplate.ContainerSpec.Image, s.Spec.UpdateConfig = image, &cfg
	if _, err := cli.ServiceUpdate(t.Context(), s.ID, s.Version, s.Spec, swarm.ServiceUpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func updateState(t *testing.T, w *sim.World) swarm.UpdateState {
	t.Helper()
	s, _, err := dockerClient(t, w.Engine("")).ServiceInspectWithRaw(t.Context(), "app", swarm.ServiceInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s.UpdateStatus.State
}

func TestAnUpdateKeepsItsPace(t *testing.T) {
	w := cluster(t)
	setImage(t, w, "app:2", swarm.UpdateConfig{Parallelism: 1, Delay: 10 * time.Second, Monitor: time.Second})
	for _, want := range []map[string]int{
		{"app:1": 2, "app:2": 1}, {"app:1": 1, "app:2": 2}, {"app:2": 3},
	} {
		if diff := cmp.Diff(want, taskImages(t, w)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if got := updateState(t, w); got != swarm.UpdateStateUpdating {
			t.Errorf("the update is %s", got)
		}
		pass(t, w, 10*time.Second)
	}
	if got := updateState(t, w); got != swarm.UpdateStateCompleted {
		t.Errorf("the update is %s", got)
	}
}

func TestAnUpdateThatFailsIsPausedOrContinuesAsItSays(t *testing.T) {
	for action, want := range map[string]map[string]int{"pause": {"app:1": 2}, "rollback": {"app:1": 3}, "continue": {}} {
		w := cluster(t)
		setImage(t, w, "app:3", swarm.UpdateConfig{Parallelism: 1, Monitor: time.Second, FailureAction: action})
		pass(t, w, time.Minute)
		if diff := cmp.Diff(want, taskImages(t, w)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", action, diff)
		}
	}
}

func TestADrainedNodeHasNoTasks(t *testing.T) {
	w := cluster(t)
	cli := dockerClient(t, w.Engine(""))
	nodes, err := cli.NodeList(t.Context(), swarm.NodeListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	spec := nodes[1].Spec
	spec.Availability = swarm.NodeAvailabilityDrain
	if err := cli.NodeUpdate(t.Context(), nodes[1].ID, nodes[1].Version, spec); err != nil {
		t.Fatal(err)
	}
	tasks, err := cli.TaskList(t.Context(), swarm.TaskListOptions{Filters: filters.NewArgs(filters.Arg("desired-state", "running"))})
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if task.NodeID != nodes[0].ID {
			t.Errorf("task %d is on %s", task.Slot, task.NodeID)
		}
	}
	if err := cli.NodeUpdate(t.Context(), nodes[1].ID, nodes[1].Version, spec); err == nil {
		t.Error("a node was changed by someone who had an old version of it")
	}
}

func TestASwarmIsRestoredAndCloned(t *testing.T) {
	w := cluster(t)
	before, err := w.State()
	if err != nil {
		t.Fatal(err)
	}
	again := worldIn(t, before)
	after, err := again.State()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("a world made of the state is another (-want +got)\n%s", diff)
	}
	c, err := w.Clone(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	setImage(t, c, "app:2", swarm.UpdateConfig{})
	pass(t, c, time.Minute)
	if a, b := taskImages(t, w), taskImages(t, c); a["app:1"] != 3 || b["app:2"] != 3 {
		t.Errorf("the clone runs %v, the original %v", b, a)
	}
}

func worldIn(t *testing.T, s *state.State) *sim.World {
	t.Helper()
	w, err := sim.New(sim.Options{State: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func TestASnapshotOfASwarmHidesValues(t *testing.T) {
	w := worldIn(t, &state.State{Format: state.Format, Engines: []state.Engine{{
		Images: []state.Image{{Ref: "app:1"}},
		Swarm: &state.Swarm{
			Services: []state.Service{{Name: "app", Image: "app:1", Env: []string{"DSN=hunter22", "EMPTY="}, Labels: map[string]string{"token": "hunter22", "app": "a"}}},
			Configs:  map[string]string{"db-password": "hunter22", "conf": "threads = 4"}, Secrets: []string{"pw"},
		},
	}}})
	s, err := snapshot.Engine(t.Context(), "default", dockerClient(t, w.Engine("")))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "hunter22") || !strings.Contains(string(text), `"DSN=(hidden)","EMPTY="`) || !strings.Contains(string(text), "threads = 4") {
		t.Errorf("%s", text)
	}
}
