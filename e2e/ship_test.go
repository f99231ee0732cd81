package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/lab"
)

const shipRecipe = `
local p = params{image = {required = true}, to = {required = true}, via = {required = true}}
docker.ship{image = p.image, to = docker.connect(p.to), via = p.via}`

// A shipment is killed at points spread over it. Nothing has the image's name until
// all of it is there, and the next shipment ends with the image and nothing else.
func TestKilledShipmentIsCompletedByTheNext(t *testing.T) {
	s, _ := own(t, lab.Options{})
	b := lab.New(t, lab.Options{})
	target, err := b.Engine.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	recipe := filepath.Join(t.TempDir(), "ship.lua")
	if err := os.WriteFile(recipe, []byte(shipRecipe), 0o600); err != nil {
		t.Fatal(err)
	}
	temporary := func(c *client.Client) (names []string) {
		list, err := c.ImageList(t.Context(), image.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range list {
			for _, tag := range i.RepoTags {
				if strings.Contains(tag, "mepc-run/") {
					names = append(names, tag)
				}
			}
		}
		return names
	}
	source, err := s.engine.ImageInspect(t.Context(), s.image("1.0"))
	if err != nil {
		t.Fatal(err)
	}
	rounds := min(sized("E2E_KILLS", 2), 100)
	for _, via := range []string{"save", "push"} {
		args := []string{"--json", "--docker", s.docker, recipe, "image=" + s.image("1.0"), "to=" + b.Engine.Host(), "via=" + via}
		ship := func() *run {
			t.Helper()
			r := s.exec(args...)
			if r.Code != 0 {
				t.Fatal(r)
			}
			return r
		}
		forget := func() {
			t.Helper()
			if _, err := target.ImageRemove(t.Context(), s.image("1.0"), image.RemoveOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		whole := ship().Took
		forget()
		for i := range rounds {
			s.kill9After(whole*time.Duration(2*i+1)/time.Duration(2*rounds), args...)
			if there, err := target.ImageInspect(t.Context(), s.image("1.0")); err == nil && there.RootFS.Layers[0] != source.RootFS.Layers[0] {
				t.Errorf("%s, round %d: the image's name has %s", via, i, there.ID)
			}
			ship()
			if _, err := target.ImageInspect(t.Context(), s.image("1.0")); err != nil {
				t.Fatal(err)
			}
			list, err := target.ContainerList(t.Context(), container.ListOptions{All: true})
			if err != nil {
				t.Fatal(err)
			}
			if here, there := temporary(s.engine), temporary(target); len(here)+len(there)+len(list) > 0 {
				t.Errorf("%s, round %d: left are %q, %q and %d containers", via, i, here, there, len(list))
			}
			forget()
		}
	}
}
