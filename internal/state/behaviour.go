package state

import (
	"cmp"
	"net/http"
	"reflect"
	"strings"
	"time"
)

// Behaviour describes what the containers of an image do. The zero value is healthy at
// once and answers 200 on every path, with the version in the body.
type Behaviour struct {
	// StartDelay is the time after its start for which a container refuses connections
	// and fails its health check.
	StartDelay Duration `json:"start_delay,omitempty"`
	// Unhealthy says that the health check never passes and that paths without
	// an entry in Paths answer 503.
	Unhealthy bool `json:"unhealthy,omitempty"`
	// SickAfter is the time after its start at which a container turns unhealthy; 0: never.
	SickAfter Duration `json:"sick_after,omitempty"`

	// Paths are the answers by path. "*" is every other path.
	Paths map[string]Response `json:"paths,omitempty"`
	// ErrorRate is the share, 0 to 1, of the clients' requests that a router
	// counts as failed, and Latency the time that it measures: see Router.Rate.
	ErrorRate float64  `json:"error_rate,omitempty"`
	Latency   Duration `json:"latency,omitempty"`
	// Version is in the answer of every path without an entry; default: the tag.
	Version string `json:"version,omitempty"`
	// Ports it listens on; default: what it exposes, or every port when
	// it exposes none.
	Ports []int `json:"ports,omitempty"`

	// DiesAfter is the time after each start at which it exits by itself, with ExitCode;
	// 0: it does not.
	DiesAfter Duration `json:"dies_after,omitempty"`
	// ExitOnStart makes it exit with ExitCode as soon as it is started.
	ExitOnStart bool `json:"exit_on_start,omitempty"`
	ExitCode    int  `json:"exit_code,omitempty"`
	// IgnoresSIGTERM makes docker stop wait until it kills.
	IgnoresSIGTERM bool `json:"ignores_sigterm,omitempty"`
	// StopDelay is the time it takes to exit after SIGTERM.
	StopDelay Duration `json:"stop_delay,omitempty"`
	// StopExitCode is its exit code after SIGTERM.
	StopExitCode int `json:"stop_exit_code,omitempty"`

	// Missing are programs that the image turns out not to have: starting a
	// container that runs one fails.
	Missing []string `json:"missing,omitempty"`
	// Logs are printed at each start: one line each, on stdout, or on stderr
	// when the line begins with "stderr: ".
	Logs []string `json:"logs,omitempty"`
	// Commands define what containers do that run this command line, such as
	// "/app migrate", in place of the image's: print, and exit after the delay.
	Commands map[string]ExecResult `json:"commands,omitempty"`
	// Exec are the results of docker exec by command line, such as "/app -check".
	// "*" is every other command. Without either the call is not modelled.
	Exec map[string]ExecResult `json:"exec,omitempty"`
}

// IsDefault says whether b is a Behaviour that says nothing.
func (b *Behaviour) IsDefault() bool { return reflect.DeepEqual(b, &Behaviour{}) }

// Response is the answer to a request for one path.
type Response struct {
	Status int               `json:"status,omitempty"` // default 200
	Body   string            `json:"body,omitempty"`
	Header map[string]string `json:"header,omitempty"`
	// Wants are header fields without which a request is answered with 401.
	Wants map[string]string `json:"wants,omitempty"`
	// After is the answer from that time after the container's start; before, a
	// path answers 503.
	After Duration `json:"after,omitempty"`
	// Delay is the time the answer takes, on the clock.
	Delay Duration `json:"delay,omitempty"`
	// Drop closes the connection without an answer.
	Drop bool `json:"drop,omitempty"`
}

// ExecResult is the result of a command in a container.
type ExecResult struct {
	Stdout   string   `json:"stdout,omitempty"`
	Stderr   string   `json:"stderr,omitempty"`
	ExitCode int      `json:"exit_code,omitempty"`
	Delay    Duration `json:"delay,omitempty"` // how long it takes, on the clock
}

// Lines are a job's output as Behaviour.Logs has it.
func (r ExecResult) Lines() []string {
	var out []string
	for line := range strings.Lines(r.Stdout) {
		out = append(out, strings.TrimSuffix(line, "\n"))
	}
	for line := range strings.Lines(r.Stderr) {
		out = append(out, "stderr: "+strings.TrimSuffix(line, "\n"))
	}
	return out
}

// Answer is the response to a request for path of a container that has run for so
// long. Where no path has an entry it says hello.
func (b *Behaviour) Answer(path string, ran time.Duration, hello string) Response {
	r, ok := b.Paths[path]
	if !ok {
		r, ok = b.Paths["*"]
	}
	switch {
	case ok && ran < r.After.Std():
		return Response{Status: http.StatusServiceUnavailable, Body: "not ready\n", Delay: r.Delay}
	case ok:
		r.Status = cmp.Or(r.Status, http.StatusOK)
		return r
	case !b.Passes(ran):
		return Response{Status: http.StatusServiceUnavailable, Body: "not ready\n"}
	}
	return Response{Status: http.StatusOK, Body: hello + "\n"}
}

// Passes says whether a container that has run for so long is well.
func (b *Behaviour) Passes(ran time.Duration) bool {
	return !b.Unhealthy && ran >= b.StartDelay.Std() && (b.SickAfter == 0 || ran < b.SickAfter.Std())
}
