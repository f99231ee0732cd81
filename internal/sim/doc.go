// Package sim is the world in which recipes are rehearsed: Docker engines, a
// Redis, containers that answer HTTP and routers that send traffic to them, all
// in process. It opens no socket, so nothing in it can reach a network.
//
// Start with New, which makes a World from a state.State (a world file, a snapshot
// of real servers, or a literal in a test). From the World come
//
//	World.Engine(name)         an Engine: http.Handler of the Engine API and http.RoundTripper for the docker client
//	World.DialRedis            connections for go-redis, to a miniredis
//	World.DialContext          connections for probes, to containers and routers
//	World.RoundTrip            the same as an http.RoundTripper, without connections
//	World.State, World.Clone   what is true now; a second world that starts from it
//
// The rooms: timeline is the clock and the one lock; engine is the Docker engine;
// redis is Redis; traffic is who answers at an address, and the routers; wire is
// how connections fail. This package puts them together and is their door.
//
// The faults are Engine.SetHooks (a call refused, its reply lost), Engine.SetDown,
// Engine.Restart, Engine.Kill, World.SetRedisDown and World.RestartRedis.
//
// # What is modelled
//
// The engine is modelled after Docker 20.10 with the classic image store: the
// states of containers and what each call does in each of them, the codes and
// the texts of errors, networks and addresses, links, published ports, health
// checks, restart policies, logs, exec, events, save and load in the
// docker-archive layout. The conformance test runs one table of calls here and on
// a real engine; docs/conformance.md says what is compared and what differs.
// A call that is not modelled answers 501 with a message that begins with
// NotModelled and names method and path. Nothing succeeds by default.
//
// Three things only look real. A build is not executed: the Dockerfile is read
// for the image's configuration and for what COPY brings in, RUN leaves an empty
// layer. A container runs nothing: its image's Behaviour says what it answers,
// logs, and when it dies. A pull has no registry: an image is there or it is not.
//
// # Time and order
//
// Time is the clock's. No goroutine and no timer of the world's own moves
// anything: what is due (a container that dies, becomes healthy, is restarted)
// is brought about, in order and with its own time, when someone next looks. So
// a world is plain data: it can be cloned at any point, and the same calls
// always lead to the same bytes. IDs, addresses and ports come from content and
// from the order of calls.
//
// A call that takes long on a real engine (stopping a container that ignores
// SIGTERM, waiting for an exit) sleeps on the clock under the request's context.
// When what it waits for cannot come before the context's deadline, the time up
// to the deadline passes on the clock and the call fails as if it had expired:
// nobody sits through a timeout.
package sim
