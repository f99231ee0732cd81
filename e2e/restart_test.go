package e2e

import (
	"testing"

	"github.com/mepc/mepc-run/internal/lab"
)

// An engine that is restarted starts what has the policy always, stopped or not:
// the release that is kept for a quick return must not come back by itself.
func TestARestartOfTheEngineBringsTheNewReleaseBackOnly(t *testing.T) {
	s, l := own(t, lab.Options{})
	s.deploy("1.0")
	s.deploy("1.1")
	if err := l.Engine.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.eventually("the new release", func() bool { return len(s.running("1.1")) == 1 })
	if old := s.running("1.0"); len(old) > 0 {
		t.Errorf("%v runs again", old)
	}
	s.deploy("1.0")
	for _, name := range s.running("1.0") {
		c, err := s.engine.ContainerInspect(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if p := c.HostConfig.RestartPolicy.Name; p != "always" {
			t.Errorf("after the return the restart policy of %s is %s", name, p)
		}
	}
	s.serves("1.0", 1)
}
