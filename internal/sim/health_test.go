package sim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/snapshot"
	"github.com/mepc/mepc-run/internal/state"
)

// TestHealthChangesWhenTheChecksSay looks once a second what the health is, and
// notes when it changed.
func TestHealthChangesWhenTheChecksSay(t *testing.T) {
	sec := func(n int) state.Duration { return state.Duration(time.Duration(n) * time.Second) }
	for _, c := range []struct {
		name  string
		check state.Healthcheck
		b     state.Behaviour
		want  string
	}{
		{"at once", state.Healthcheck{Interval: sec(5)}, state.Behaviour{}, "0 starting, 5 healthy"},
		{"the engine's interval", state.Healthcheck{}, state.Behaviour{}, "0 starting, 30 healthy"},
		{"two failures first", state.Healthcheck{Interval: sec(5)}, state.Behaviour{StartDelay: sec(12)}, "0 starting, 15 healthy"},
		{"three failures first", state.Healthcheck{Interval: sec(5)}, state.Behaviour{StartDelay: sec(22)}, "0 starting, 15 unhealthy, 25 healthy"},
		{"failures in the start period", state.Healthcheck{Interval: sec(5), StartPeriod: sec(20)}, state.Behaviour{StartDelay: sec(22)}, "0 starting, 25 healthy"},
		{"never", state.Healthcheck{Interval: sec(5), Retries: 2}, state.Behaviour{Unhealthy: true}, "0 starting, 10 unhealthy"},
		{"turns sick", state.Healthcheck{Interval: sec(5), Retries: 2}, state.Behaviour{SickAfter: sec(31)}, "0 starting, 5 healthy, 40 unhealthy"},
		{"dies", state.Healthcheck{Interval: sec(5)}, state.Behaviour{DiesAfter: sec(7)}, "0 starting, 5 healthy, 7 unhealthy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.check.Test = []string{"CMD", "/app"}
			w := worldOf(t, state.Image{Ref: "app:1", Healthcheck: &c.check, Behaviour: &c.b})
			run(t, w, "app", "app:1", nil)
			var seen []string
			last := ""
			for s := range 60 {
				if h := string(inspect(t, w, "app").State.Health.Status); h != last {
					seen = append(seen, fmt.Sprint(s, " ", h))
					last = h
				}
				pass(t, w, time.Second)
			}
			if got := strings.Join(seen, ", "); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestASnapshotHidesWhatMayBeSecret(t *testing.T) {
	w, err := sim.New(sim.Options{State: &state.State{
		Engines: []state.Engine{{
			Images: []state.Image{{Ref: "app:1", Env: []string{"PATH=/bin", "API_KEY=canary-1"}}},
			Containers: []state.Container{{
				Name: "app", Image: "app:1", Env: []string{"PATH=/bin", "MODE=canary-2", "EMPTY="},
				Labels: map[string]string{"mepc.app": "app", "deploy.token": "canary-3", "db": "postgres://u:canary-4@db/x"},
				Cmd:    []string{"/app", "--password=canary-5", "--token", "canary-6", "--port", "80", "sh -c 'SECRET=canary-7 run'"},
			}},
		}},
		Redis: map[string]state.RedisKey{"frontend:app": {List: []string{"app"}}, "session:1": {List: []string{"canary-8"}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	s, err := snapshot.Take(t.Context(), w.Clock().Now(), dockerClient(t, w.Engine("")), redisClient(t, w))
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 8; n++ {
		if secret := fmt.Sprint("canary-", n); strings.Contains(string(b), secret) {
			t.Errorf("%s is in the snapshot:\n%s", secret, b)
		}
	}
	c := s.Engines[0].Containers[0]
	if got := strings.Join(c.Env, " "); got != "PATH=/bin MODE="+snapshot.Hidden+" EMPTY= API_KEY="+snapshot.Hidden {
		t.Errorf("environment %s", got)
	}
	if c.Labels["mepc.app"] != "app" || c.Cmd[5] != "80" {
		t.Errorf("hides too much: %v %v", c.Labels, c.Cmd)
	}
}
