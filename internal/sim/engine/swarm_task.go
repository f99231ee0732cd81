package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/swarm"

	"github.com/mepc/mepc-run/internal/state/engineapi"
)

// task is a container that a service has, or had, on a node. Its container is not
// modelled: it is reached by the service's published port only.
type task struct {
	id       string
	slot     int
	spec     swarm.TaskSpec
	template string
	node     string
	created  time.Time
	changed  time.Time
	state    swarm.TaskState
	desired  swarm.TaskState
	message  string
	err      string
	exitCode int
	started  bool

	ready  time.Time // when it runs, if it does not yet
	ran    time.Time // since when it ran
	ends   time.Time // when it ends by itself
	as     ending    // how
	itself bool      // it has, and none took its place yet
	again  time.Time // when another one then takes its place
}

// ending describes how a task ends by itself.
type ending struct {
	state swarm.TaskState
	err   string
	code  int
}

func (t *task) json(s *service) swarm.Task {
	out := swarm.Task{
		ID: t.id, Meta: swarm.Meta{CreatedAt: t.created, UpdatedAt: t.changed}, Spec: t.spec, ServiceID: s.id, Slot: t.slot, NodeID: t.node,
		DesiredState: t.desired,
		Status:       swarm.TaskStatus{Timestamp: t.changed, State: t.state, Message: t.message, Err: t.err},
	}
	if t.started {
		out.Status.ContainerStatus = &swarm.ContainerStatus{ContainerID: hexSum([]byte("container " + t.id)), ExitCode: t.exitCode}
	}
	return out
}

func (t *task) set(state swarm.TaskState, message, err string, at time.Time) {
	t.state, t.message, t.err, t.changed = state, message, err, at
}

func (t *task) over() bool {
	switch t.state {
	case swarm.TaskStateComplete, swarm.TaskStateFailed, swarm.TaskStateRejected, swarm.TaskStateShutdown:
		return true
	}
	return false
}

// rollout is the state of an update.
type rollout struct {
	going bool
	back  bool      // it goes back
	next  time.Time // before which no further batch is begun
	until time.Time // the end of the monitor of what was begun last
}

// begin begins to replace tasks.
func (s *service) begin(now time.Time) {
	s.rollout.going = true
	st := &swarm.UpdateStatus{State: swarm.UpdateStateUpdating, StartedAt: &now, Message: "update in progress"}
	if s.rollout.back {
		st.State, st.Message = swarm.UpdateStateRollbackStarted, "manually requested rollback"
	}
	s.status = st
}

// config returns the settings by which tasks are replaced now.
func (s *service) config() swarm.UpdateConfig {
	c := s.spec.UpdateConfig
	if s.rollout.back {
		c = s.spec.RollbackConfig
	}
	if c == nil {
		c = &swarm.UpdateConfig{Parallelism: 1}
	}
	out := *c
	if out.Monitor == 0 {
		out.Monitor = 5 * time.Second
	}
	if out.FailureAction == "" {
		out.FailureAction = "pause"
	}
	return out
}

// pulls reports whether nodes can get an image that the engine does not have: one of a
// registry, or one that the world knows.
func (e *Engine) pulls(ref string) bool {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return false
	}
	full, err := normalize(ref)
	return err == nil && e.fixtures[full] != nil || reference.Domain(named) != "docker.io"
}

// assumePull says in a reply that nodes are taken to be able to pull a service's image.
func (e *Engine) assumePull(spec *swarm.ServiceSpec, r reply, err error) (reply, error) {
	ref := spec.TaskTemplate.ContainerSpec.Image
	if _, missing := e.findImage(ref); err == nil && missing != nil && e.pulls(ref) {
		r.header = map[string]string{Assumed: ref + " is not on the engine: the swarm's nodes were taken to pull it"}
	}
	return r, err
}

// places returns the nodes that tasks may be on, and why there are none.
func (e *Engine) places(s *service) (nodes []string, why string) {
	away, unfit := 0, 0
	for _, n := range e.cluster.nodes {
		switch {
		case n.Spec.Availability != swarm.NodeAvailabilityActive, n.Status.State != swarm.NodeStateReady:
			away++
		case s.spec.TaskTemplate.Placement != nil && !fits(n, s.spec.TaskTemplate.Placement.Constraints):
			unfit++
		default:
			nodes = append(nodes, n.ID)
		}
	}
	return nodes, fmt.Sprintf("no suitable node (%d not available for new tasks; scheduling constraints not satisfied on %d)", away, unfit)
}

// drained reports whether a node is to have no tasks.
func (e *Engine) drained(node string) bool {
	for _, n := range e.cluster.nodes {
		if n.ID == node {
			return n.Spec.Availability == swarm.NodeAvailabilityDrain || n.Status.State == swarm.NodeStateDown
		}
	}
	return node != "" // it was removed
}

// fits reports whether a node meets constraints such as node.labels.zone == a.
func fits(n *swarm.Node, constraints []string) bool {
	for _, c := range constraints {
		name, want, equal := strings.Cut(c, "==")
		if !equal {
			name, want, _ = strings.Cut(c, "!=")
		}
		name, want = strings.TrimSpace(name), strings.TrimSpace(want)
		got := ""
		switch label, isLabel := strings.CutPrefix(name, "node.labels."); {
		case isLabel:
			got = n.Spec.Labels[label]
		case name == "node.role":
			got = string(n.Spec.Role)
		case name == "node.hostname":
			got = n.Description.Hostname
		case name == "node.id":
			got = n.ID
		}
		if (got == want) != equal {
			return false
		}
	}
	return true
}

// slots are the places of a service's tasks: numbers of a replicated one, nodes of a
// global one.
func (e *Engine) slots(s *service) (slots []int) {
	n := len(e.cluster.nodes)
	if s.spec.Mode.Replicated != nil {
		n = int(*s.spec.Mode.Replicated.Replicas)
	}
	for i := range n {
		slots = append(slots, i+1)
	}
	return slots
}

// launch starts a task in a slot.
func (e *Engine) launch(s *service, slot int, now time.Time) *task {
	for _, was := range s.tasks {
		if was.slot == slot {
			was.again, was.itself = never, false
		}
	}
	t := &task{
		id: e.swarmID("task", s.spec.Name), slot: slot, spec: s.spec.TaskTemplate, template: template(&s.spec), created: now,
		desired: swarm.TaskStateRunning,
	}
	s.tasks = append(s.tasks, t)
	e.schedule(s, t, now)
	return t
}

// schedule puts a task on a node, if one will have it, and finds out what becomes
// of it there.
func (e *Engine) schedule(s *service, t *task, now time.Time) {
	nodes, why := e.places(s)
	if s.spec.Mode.Global != nil && t.slot <= len(e.cluster.nodes) {
		if own := e.cluster.nodes[t.slot-1].ID; slices.Contains(nodes, own) {
			nodes = []string{own}
		} else {
			nodes = nil
		}
	}
	if len(nodes) == 0 {
		t.set(swarm.TaskStatePending, "pending task scheduling", why, now)
		return
	}
	t.node = nodes[(t.slot-1)%len(nodes)]
	c := t.spec.ContainerSpec
	img, err := e.findImage(c.Image)
	if err != nil && !e.pulls(c.Image) {
		t.ends, t.as = now, ending{swarm.TaskStateRejected, "No such image: " + c.Image, 0}
		t.set(swarm.TaskStatePreparing, "preparing", "", now)
		return
	}
	if err != nil {
		img = &image{}
	}
	b := *e.behaviourOf(img, c.Image)
	t.started = true
	t.set(swarm.TaskStateStarting, "starting", "", now)
	exit := func(code int) ending {
		if code == 0 {
			return ending{swarm.TaskStateComplete, "", 0}
		}
		return ending{swarm.TaskStateFailed, fmt.Sprintf("task: non-zero exit (%d)", code), code}
	}
	switch {
	case b.ExitOnStart:
		t.ready, t.ends, t.as = now, now, exit(b.ExitCode)
		return
	case b.DiesAfter > 0:
		t.ends, t.as = now.Add(b.DiesAfter.Std()), exit(b.ExitCode)
	}
	t.ready = now
	check := c.Healthcheck
	if check == nil && img.config != nil {
		check = img.config.Healthcheck
	}
	if !engineapi.HasCheck(check) {
		return
	}
	t.ready = never
	if program := check.Test[1:]; check.Test[0] == "CMD" && slices.Contains(b.Missing, program[0]) {
		b.Unhealthy = true
	}
	for _, change := range healthChanges(&b, check, now) {
		switch {
		case change.to == healthy && t.ready.IsZero():
			t.ready = change.at
		case change.to == unhealthy && (t.ends.IsZero() || change.at.Before(t.ends)):
			t.ends, t.as = change.at, exit(b.StopExitCode) // it is told to end
		}
	}
}

// stop ends a task that is not wanted any more.
func (t *task) stop(now time.Time) {
	t.desired = swarm.TaskStateShutdown
	if !t.over() {
		t.set(swarm.TaskStateShutdown, "shutdown", "", now)
	}
	t.ready, t.ends, t.again = never, never, never
}

// orchestrate brings the services nearer to what they are to be.
func (e *Engine) orchestrate(now time.Time) {
	for _, s := range e.cluster.ordered() {
		e.converge(s, now)
	}
}

// dueTimes tells when something happens in the swarm by itself.
func (k *cluster) dueTimes(sooner func(time.Time)) {
	for _, s := range k.ordered() {
		s.dueTimes(sooner)
	}
}

// converge brings a service as far as it comes at now.
func (e *Engine) converge(s *service, now time.Time) {
	more := true
	for n := 0; more && n < 10_000; n++ {
		e.step(s, now)
		more = false
		s.dueTimes(func(t time.Time) { more = more || isDue(t, now) })
	}
}

// step does what is due at now to the tasks, starts those that are missing, stops
// those too many, and goes on with an update.
func (e *Engine) step(s *service, now time.Time) {
	cfg := s.config()
	for _, t := range s.tasks {
		if isDue(t.ready, now) && !t.over() {
			t.ready, t.ran = never, now
			t.set(swarm.TaskStateRunning, "started", "", now)
		}
		if isDue(t.ends, now) && !t.over() {
			t.ready, t.ends, t.itself = never, never, true
			t.exitCode = t.as.code
			t.set(t.as.state, map[swarm.TaskState]string{swarm.TaskStateComplete: "finished"}[t.as.state], t.as.err, now)
			t.desired = swarm.TaskStateShutdown
			e.ended(s, t, cfg, now)
			cfg = s.config()
		}
		if !t.over() && e.drained(t.node) {
			t.stop(now)
		}
		if t.state == swarm.TaskStatePending && t.desired == swarm.TaskStateRunning {
			e.schedule(s, t, now)
		}
	}
	slots := e.slots(s)
	begun := 0 // slots whose new task does not run yet
	var old []*task
	current := template(&s.spec)
	for _, slot := range slots {
		live := s.live(slot)
		switch {
		case len(live) == 0 && !s.waits(slot, now):
			begun += pendingOf(e.launch(s, slot, now))
		case len(live) > 0 && live[len(live)-1].template != current:
			old = append(old, live[len(live)-1])
		default:
			for i, t := range live {
				switch {
				case i == len(live)-1:
					begun += pendingOf(t)
				case live[len(live)-1].state == swarm.TaskStateRunning: // start-first: the new one runs
					t.stop(now)
				}
			}
		}
	}
	for _, t := range s.tasks {
		if t.slot > len(slots) {
			t.stop(now)
		}
	}
	for _, t := range s.tasks {
		if isDue(t.again, now) { // another one is already there
			t.again, t.itself = never, false
		}
	}
	e.replace(s, old, begun, cfg, now)
	e.prune(s)
}

func pendingOf(t *task) int {
	if t.state == swarm.TaskStateRunning || t.over() {
		return 0
	}
	return 1
}

// live returns a slot's tasks that are to run, oldest first.
func (s *service) live(slot int) (list []*task) {
	for _, t := range s.tasks {
		if t.slot == slot && t.desired == swarm.TaskStateRunning {
			list = append(list, t)
		}
	}
	return list
}

// waits reports whether a task of a slot ended and is not to be replaced yet.
func (s *service) waits(slot int, now time.Time) bool {
	return slices.ContainsFunc(s.tasks, func(t *task) bool { return t.slot == slot && t.itself && !isDue(t.again, now) })
}

// replace goes on with an update.
func (e *Engine) replace(s *service, old []*task, begun int, cfg swarm.UpdateConfig, now time.Time) {
	if !s.rollout.going {
		return
	}
	for _, t := range old {
		if cfg.Parallelism > 0 && begun >= int(cfg.Parallelism) || now.Before(s.rollout.next) {
			break
		}
		if cfg.Order != "start-first" {
			t.stop(now)
		}
		e.launch(s, t.slot, now)
		begun++
		s.rollout.until = now.Add(cfg.Monitor)
		if cfg.Delay > 0 {
			s.rollout.next = now.Add(cfg.Delay)
		}
	}
	if !now.Before(s.rollout.next) {
		s.rollout.next = never
	}
	if now.Before(s.rollout.until) {
		return
	}
	s.rollout.until = never
	if len(old) > 0 || begun > 0 {
		return
	}
	s.rollout.going = false
	s.status.CompletedAt = &now
	s.status.State, s.status.Message = swarm.UpdateStateCompleted, "update completed"
	if s.rollout.back {
		s.status.State, s.status.Message = swarm.UpdateStateRollbackCompleted, "rollback completed"
	}
}

// ended handles the end of a task: for an update that is being watched, and
// for the one that takes its place.
func (e *Engine) ended(s *service, t *task, cfg swarm.UpdateConfig, now time.Time) {
	condition, delay := swarm.RestartPolicyConditionAny, 5*time.Second
	if r := s.spec.TaskTemplate.RestartPolicy; r != nil {
		if condition = r.Condition; condition == "" {
			condition = swarm.RestartPolicyConditionAny
		}
		if r.Delay != nil {
			delay = *r.Delay
		}
	}
	if condition == swarm.RestartPolicyConditionAny || condition == swarm.RestartPolicyConditionOnFailure && t.state != swarm.TaskStateComplete {
		t.again = now.Add(max(delay, 10*time.Millisecond)) // nothing restarts in no time
	}
	watched := s.rollout.going && t.template == template(&s.spec) && (t.ran.IsZero() || now.Sub(t.ran) <= cfg.Monitor)
	if !watched || cfg.FailureAction == "continue" || cfg.MaxFailureRatio >= 1 {
		return
	}
	s.status.CompletedAt = &now
	why := "due to failure or early termination of task " + t.id
	switch {
	case s.rollout.back:
		s.rollout.going = false
		s.status.State, s.status.Message = swarm.UpdateStateRollbackPaused, "rollback paused "+why
	case cfg.FailureAction == "rollback" && s.previous != nil:
		s.spec, s.previous, s.version = *s.previous, nil, e.cluster.version()
		s.rollout = rollout{going: true, back: true}
		s.rollout.until = now.Add(s.config().Monitor)
		s.status.CompletedAt = nil
		s.status.State, s.status.Message = swarm.UpdateStateRollbackStarted, "update rolled back "+why
		t.again = now
	default:
		s.rollout.going = false
		s.status.State, s.status.Message = swarm.UpdateStatePaused, "update paused "+why
	}
}

// history is the number of ended tasks kept for a slot.
const history = 5

func (e *Engine) prune(s *service) {
	count := map[int]int{}
	for i := len(s.tasks) - 1; i >= 0; i-- {
		if t := s.tasks[i]; t.over() {
			if count[t.slot]++; count[t.slot] > history {
				s.tasks = slices.Delete(s.tasks, i, i+1)
			}
		}
	}
}

// dueTimes tells when something happens to a service's tasks by itself.
func (s *service) dueTimes(sooner func(time.Time)) {
	for _, t := range s.tasks {
		if !t.over() {
			sooner(t.ready)
			sooner(t.ends)
		} else {
			sooner(t.again)
		}
	}
	if s.rollout.going {
		sooner(s.rollout.next)
		sooner(s.rollout.until)
	}
}
