// Package docker is the Lua module docker: containers, images, networks and
// volumes of Docker engines. Start with New, then with the file of the noun you are after:
// each opens with the table of its functions.
//
// One table serves two callers: docker.create{...} acts on the run's default
// engine, prod:create{...} on an engine that docker.connect returned.
//
// # Lost replies
//
// A call that changes something and whose reply is lost (the connection is cut,
// the deadline passes, the run is cancelled) has an unknown outcome: of the
// engine's calls without a reply, most have taken effect. Where a read can
// settle it, change (engine.go) looks, for a few seconds at most, and returns
// what is true: a created container is known by a label that carries a number
// drawn for the call, a started one by running, a removed one by its absence.
// What a look cannot settle is an error of kind unknown, or of the kind that
// ended the call, with what the look saw. Nothing is ever sent twice.
package docker

import (
	"slices"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// New returns the module. Its engines are made by the *servers.Clients of a run.
func New(allow Allow) runtime.Module {
	funcs := slices.Concat(engineFuncs(), imageFuncs(), transferFuncs(), containerFuncs(), fileFuncs(), healthFuncs(), networkFuncs(), volumeFuncs(),
		swarmFuncs())
	return runtime.Module{
		Name: "docker",
		UTF8: true,
		Instead: map[string]string{
			"run":     "create it, then start it: docker.create{name = \"x\", image = \"y\"} docker.start(\"x\")",
			"ps":      "docker.list{all = true} returns the containers",
			"rm":      "docker.remove(\"x\", {force = true}) removes a container",
			"rmi":     "docker.remove_image(\"x\") removes an image",
			"compose": "each service is a docker.create; mepc-run doc docker.create shows its options",
			"up":      "create it, then start it: docker.create{...} docker.start(\"x\")",
		},
		Doc: "Containers, images, networks and volumes of Docker engines, and the services of a swarm. " +
			"docker.f{...} acts on the run's default engine (--docker, DOCKER_HOST, the current Docker context); " +
			"docker.connect gives others, on which the same functions are methods: prod:f{...}. " +
			"When the reply to a call is lost, a look at the engine settles for up to 5 seconds whether it was done; " +
			"what that leaves open raises unknown, and nothing is ever sent twice.",
		Self:  runtime.PerRun(func(w *servers.Clients) *Engine { return Open(w, allow) }),
		Funcs: append([]runtime.Func{connectFunc()}, funcs...),
		Types: []runtime.Type{{
			Name: "docker.engine", Doc: "A Docker engine. Its methods are the functions of docker.",
			Of: (*Engine)(nil), Funcs: funcs,
		}},
	}
}

// Open returns the default engine of w, for programs that hand one to a script.
func Open(w *servers.Clients, allow Allow) *Engine {
	return &Engine{world: w, allow: allow, logins: &logins{}}
}

// reads returns the kinds of error that a call can raise which only looks: the
// given ones, and those that any call can.
func reads(kinds ...runtime.Kind) []runtime.Kind {
	return append(kinds, failure.Unavailable, failure.Auth, failure.Timeout, failure.Refused)
}

// writes is reads for a call that changes something.
func writes(kinds ...runtime.Kind) []runtime.Kind {
	return append(reads(kinds...), failure.Unknown)
}
