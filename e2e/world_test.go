package e2e

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/google/go-cmp/cmp"
)

// hipache interprets the keys of one host as Hipache and planb do.
type hipache struct {
	identifier string
	backends   []string // with repetitions: weights
	dead       []string // indexes
}

// readHipache reads the keys as Hipache does: LRANGE, of which the first is the
// identifier and the others are URLs that it parses, and SMEMBERS. It fails the
// test on what Hipache could not use.
func (s *stage) readHipache(host string) hipache {
	s.t.Helper()
	ctx := context.Background()
	list, err := s.store.LRange(ctx, "frontend:"+host, 0, -1).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	dead, err := s.store.SMembers(ctx, "dead:"+host).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	if len(list) == 0 {
		return hipache{dead: dead}
	}
	if strings.Contains(list[0], "://") {
		s.t.Errorf("frontend:%s has no identifier in front: %q", host, list)
	}
	for _, b := range list[1:] {
		u, err := url.Parse(b)
		if err != nil || u.Scheme != "http" || net.ParseIP(u.Hostname()) == nil || u.Port() == "" || u.Path != "" {
			s.t.Errorf("frontend:%s: Hipache cannot use the backend %q", host, b)
		}
	}
	return hipache{list[0], list[1:], dead}
}

// containers returns the app's containers by name, with their states.
func (s *stage) containers() map[string]string {
	s.t.Helper()
	list, err := s.engine.ContainerList(context.Background(), container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", "mepc.app="+s.app)),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	found := map[string]string{}
	for _, c := range list {
		found[strings.TrimPrefix(c.Names[0], "/")] = c.State
	}
	return found
}

// running returns the names of the app's running containers of a version ("" for
// any), sorted.
func (s *stage) running(version string) []string {
	s.t.Helper()
	var names []string
	for name, state := range s.containers() {
		if state == "running" && strings.HasPrefix(name, s.app+"-"+version) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// addresses returns the URLs that the containers are reached at.
func (s *stage) addresses(names []string) []string {
	s.t.Helper()
	var urls []string
	for _, name := range names {
		c, err := s.engine.ContainerInspect(context.Background(), name)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, n := range c.NetworkSettings.Networks {
			urls = append(urls, "http://"+n.IPAddress+":8080")
		}
	}
	return urls
}

// serves checks the end of a good deployment: the version and nothing else runs,
// so many times, the list has exactly these, and no router finds any dead. It
// returns the containers.
func (s *stage) serves(version string, replicas int) []string {
	s.t.Helper()
	names := s.running("")
	if ours := s.running(version); len(names) != replicas || !slices.Equal(names, ours) {
		s.t.Fatalf("want %d running containers of %s and no others: %v", replicas, version, s.containers())
	}
	h := s.readHipache(s.app)
	if h.identifier != s.app || len(h.dead) != 0 {
		s.t.Errorf("the routing keys are %+v", h)
	}
	if diff := cmp.Diff(sorted(s.addresses(names)), sorted(h.backends)); diff != "" {
		s.t.Errorf("the list does not have what runs (-runs +list):\n%s", diff)
	}
	for range replicas {
		if status, body := s.get("/version"); status != 200 || body != version {
			s.t.Errorf("the router answers %d %q, not %s", status, body, version)
		}
	}
	return names
}

// stopped returns how many of the app's containers do not run.
func (s *stage) stopped() int {
	s.t.Helper()
	n := 0
	for _, state := range s.containers() {
		if state != "running" {
			n++
		}
	}
	return n
}

// images returns the tags of the app's repository, sorted.
func (s *stage) images() []string {
	s.t.Helper()
	list, err := s.engine.ImageList(context.Background(), image.ListOptions{
		Filters: filters.NewArgs(filters.Arg("reference", s.app+"/app")),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	var tags []string
	for _, i := range list {
		for _, tag := range i.RepoTags {
			if v, ok := strings.CutPrefix(tag, s.app+"/app:"); ok {
				tags = append(tags, v)
			}
		}
	}
	return sorted(tags)
}

// unchanged runs f and checks that the app's world is what it was before.
func (s *stage) unchanged(f func()) {
	s.t.Helper()
	look := func() string { return fmt.Sprint(s.readHipache(s.app), s.containers(), s.images()) }
	before := look()
	f()
	if diff := cmp.Diff(before, look()); diff != "" {
		s.t.Errorf("the world is not what it was (-before +after):\n%s", diff)
	}
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}
