package sim_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const conformanceHead = `# The simulated world against the real one

A recipe that is rehearsed meets simulated engines and a simulated Redis
(` + "`internal/sim`" + `). They are only worth something as far as they answer as real ones
do. So one corpus of calls runs in the simulated world and on a real Docker engine
and Redis, and every answer is compared:

<!-- not run: make test runs it -->

    go test ./internal/sim -run TestTheSimulatedWorldAnswersAsTheRealOne

The engine is modelled after Docker 20.10 (API 1.41) with the overlay2 store, as
Debian 12 has it; Redis after 7.0.

This page is made by ` + "`go test ./internal/sim -run TestTheConformancePage -update`" + `
from the corpus (` + "`internal/sim/conformance_corpus_test.go`" + `), and a test keeps it current.

## What is compared

- Of a call to the engine: the HTTP status, and the whole body or the parts of it
  that the corpus names. An error's text counts, word for word.
- The state after a call: the corpus looks with inspect, list and plain requests to
  the containers.
- Of a Redis command: the whole reply, errors included.

Taken out before the comparison, since they are never the same twice: IDs (but not
which of them are equal), addresses (the same), times, picked ports, the numbers in
"Up 5 seconds", directories of the engine, and the lines of a build that name
intermediate containers.

An empty list, null and a field that is absent are one: a client cannot tell them
apart. What depends on the machine is not compared either:

MACHINE

## Known to differ, by design

| what | in the simulated world |
|---|---|
| a build | is not executed: RUN leaves an empty layer, COPY brings in names without contents; no intermediate images are left, so deleting a built image lists fewer IDs. BuildKit is the same builder, with a secret and the mounts of RUN taken as given; here-documents and other platforms answer "not modelled" |
| a container | runs nothing: it answers, logs and dies as the image's fixture says; the default answers 200 on every path of every exposed port |
| signals | SIGTERM, SIGINT and the stop signal end a container, SIGKILL kills it, others do nothing |
| a pull | comes from fixtures; without one the image is not found |
| health check | changes the health at the time it would; only the last probe is in the log, and probes leave no exec events |
| exec | answers from the fixture, and is not modelled without one; there is no stdin |
| time | is virtual: API calls take none, unless what they wait for does |
| Redis' blocking commands | wait on the rehearsal's clock; at the simulated Redis itself they block for real |
| a Redis script | runs in Lua as it is; a blocking command in it answers "not modelled", and one that does not end in thirty seconds of real time ends the world |
| Redis' subscriptions | answer "not modelled": nobody else is there to say something |
| image store | is the classic one, or with "store": "containerd" one whose IDs are its own; it takes no part of an image |
| files in a container | are those that were copied in; what else its image brings has no contents, and answers 501. Where an image's files are not known, a directory to copy into is taken to be there, and the plan says so |
| a commit | has the container's configuration, and the names of what was copied in |
| a push, a login | is taken to succeed, and the plan says so |
| a service's tasks | are on the engine's node and those that the world file names; no containers of theirs are listed, and requests reach them by a port that every node publishes, in turn, but not by their own addresses or names: they run, turn unhealthy or end as the image's fixture says. modules/docker runs a service's life, an update that succeeds, one that is rolled back and a rollback against both engines |
| joining a swarm, plugins, checkpoints, export, stats, attach, overlay networks, IPv6 | answer 501, "not modelled", with the call |

`

// TestTheConformancePageIsCurrent keeps docs/conformance.md what the corpus says.
func TestTheConformancePageIsCurrent(t *testing.T) {
	page := filepath.Join("..", "..", "docs", "conformance.md")
	want := conformancePage()
	if *update {
		if err := os.MkdirAll(filepath.Dir(page), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), want); diff != "" {
		t.Errorf("%s is not current; run with -update (-is +should be)\n%s", page, diff)
	}
}

func conformancePage() string {
	var b strings.Builder
	b.WriteString(strings.Replace(conformanceHead, "MACHINE\n", machineList(), 1))
	b.WriteString("## Known to differ, call by call\n\n| case | call | why |\n|---|---|---|\n")
	calls := 0
	for _, c := range corpus {
		calls += len(c.lines())
		steps := make([]string, 0, len(c.differs))
		for s := range c.differs {
			steps = append(steps, s)
		}
		sort.Strings(steps)
		for _, s := range steps {
			fmt.Fprintf(&b, "| %s | `%s` | %s |\n", c.name, s, c.differs[s])
		}
	}
	fmt.Fprintf(&b, "\n## The corpus: %d cases, %d calls\n\n| case | calls |\n|---|---|\n", len(corpus), calls)
	for _, c := range corpus {
		fmt.Fprintf(&b, "| %s | %d |\n", c.name, len(c.lines()))
	}
	return b.String()
}

// machineList is machineTraits for the page.
func machineList() string {
	var b strings.Builder
	for _, trait := range machineTraits {
		fmt.Fprintf(&b, "- %s", trait.what)
		if trait.fields != "" {
			fmt.Fprintf(&b, " (`%s`)", strings.ReplaceAll(trait.fields, " ", "`, `"))
		}
		b.WriteString("\n")
	}
	return b.String()
}
