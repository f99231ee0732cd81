package docker_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// What an engine warns of at a creation or an update is shown and kept in the journal,
// though no recipe asks for it.
func TestWhatAnEngineWarnsOfIsShown(t *testing.T) {
	b := labBench(t)
	const warning = "Links on the default bridge network are deprecated"
	name := b.name("warned")
	b.opts.Docker.Host = through(t, b.lab.Engine, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/containers/create") && !strings.HasSuffix(r.URL.Path, "/update") {
			return false
		}
		if strings.HasSuffix(r.URL.Path, "/create") {
			w.WriteHeader(http.StatusCreated)
		}
		_, _ = io.WriteString(w, `{"Id": "`+strings.Repeat("a", 64)+`", "Warnings": ["`+warning+`"]}`)
		return true
	})
	b.params["name"] = name
	direct := benchAt(t, b.lab.Engine.Host())
	direct.params["name"] = name
	b.run(`docker.create{name = P.name, image = "mepc/app:1.0"}`)
	if got := b.events.ends()[0].Result.Summary; !strings.Contains(got, warning) {
		t.Errorf("a creation shows %q", got)
	}
	direct.run(`docker.create{name = P.name, image = "mepc/app:1.0"}`)
	b.run(`docker.update(P.name, {restart = "always"})`)
	if got := b.events.ends()[0].Result.Summary; !strings.Contains(got, warning) {
		t.Errorf("an update shows %q", got)
	}
}
