package sim

import (
	"reflect"
	"time"
)

// Image is an image of an engine and the fixture that says how its containers
// behave. Only Ref is needed.
type Image struct {
	Ref  string   `json:"ref"`            // such as mepc/app:1.0; empty for an image without a tag, which needs an ID
	Tags []string `json:"tags,omitempty"` // further references to the same image
	ID   string   `json:"id,omitempty"`   // sha256:...; default: derived from the rest
	// Absent says that the image is not on the engine: the fixture only says how
	// it behaves once it is built, loaded, pulled or tagged under Ref.
	Absent bool `json:"absent,omitempty"`
	// Pullable says that pulling Ref gets an absent image.
	Pullable bool `json:"pullable,omitempty"`

	Created     time.Time         `json:"created,omitzero"`
	Labels      map[string]string `json:"labels,omitempty"`
	Env         []string          `json:"env,omitempty"` // NAME=value
	Cmd         []string          `json:"cmd,omitempty"` // default, when there is no entrypoint either: ["/app"]
	Entrypoint  []string          `json:"entrypoint,omitempty"`
	Expose      []string          `json:"expose,omitempty"` // such as 8080 or 8080/tcp
	Volumes     []string          `json:"volumes,omitempty"`
	User        string            `json:"user,omitempty"`
	WorkingDir  string            `json:"working_dir,omitempty"`
	StopSignal  string            `json:"stop_signal,omitempty"`
	Healthcheck *Healthcheck      `json:"healthcheck,omitempty"`
	Layers      []Layer           `json:"layers,omitempty"` // default: one, derived from the rest
	Parent      string            `json:"parent,omitempty"` // the local image that it was built from: its ID, or a reference that stands before

	Behaviour *Behaviour `json:"behaviour,omitempty"` // nil: healthy at once, 200 on every path
}

// Layer is a layer of an image. Its content is not kept: a saved tar has a
// stand-in for it that only a simulated engine loads. Layers that the world
// makes itself, for fixtures that name none, are real.
type Layer struct {
	DiffID string `json:"diff_id"` // sha256:...
	Size   int64  `json:"size,omitempty"`
}

// Healthcheck is an image's or a container's HEALTHCHECK. Zero durations and
// retries are the engine's defaults: 30s, 30s, 0s, 3.
type Healthcheck struct {
	Test        []string `json:"test"` // ["CMD", "/app", "-check"], ["CMD-SHELL", "..."] or ["NONE"]
	Interval    Duration `json:"interval,omitempty"`
	Timeout     Duration `json:"timeout,omitempty"`
	StartPeriod Duration `json:"start_period,omitempty"`
	Retries     int      `json:"retries,omitempty"`
}

// Behaviour is what the containers of an image do. The zero value is healthy at
// once and answers 200 on every path, with the version in the body.
type Behaviour struct {
	// StartDelay is how long after its start a container refuses connections
	// and fails its health check.
	StartDelay Duration `json:"start_delay,omitempty"`
	// Unhealthy says that the health check never passes and that paths without
	// an entry in Paths answer 503.
	Unhealthy bool `json:"unhealthy,omitempty"`
	// SickAfter is how long after its start a container turns unhealthy; 0: never.
	SickAfter Duration `json:"sick_after,omitempty"`

	// Paths are the answers by path. "*" is every other path.
	Paths map[string]Response `json:"paths,omitempty"`
	// ErrorRate is the share, 0 to 1, of the clients' requests that a router
	// counts as failed, and Latency the time that it measures: see Router.Rate.
	ErrorRate float64  `json:"error_rate,omitempty"`
	Latency   Duration `json:"latency,omitempty"`
	// Version is in the answer of every path without an entry; default: the tag.
	Version string `json:"version,omitempty"`
	// Ports are where it listens; default: what it exposes, or every port when
	// it exposes none.
	Ports []int `json:"ports,omitempty"`

	// DiesAfter is how long after each start it exits by itself, with ExitCode;
	// 0: it does not.
	DiesAfter Duration `json:"dies_after,omitempty"`
	// ExitOnStart makes it exit with ExitCode as soon as it is started.
	ExitOnStart bool `json:"exit_on_start,omitempty"`
	ExitCode    int  `json:"exit_code,omitempty"`
	// IgnoresSIGTERM makes docker stop wait until it kills.
	IgnoresSIGTERM bool `json:"ignores_sigterm,omitempty"`
	// StopDelay is how long it takes to exit after SIGTERM.
	StopDelay Duration `json:"stop_delay,omitempty"`
	// StopExitCode is its exit code after SIGTERM.
	StopExitCode int `json:"stop_exit_code,omitempty"`

	// Missing are programs that the image turns out not to have: starting a
	// container that runs one fails.
	Missing []string `json:"missing,omitempty"`
	// Logs are printed at each start: one line each, on stdout, or on stderr
	// when the line begins with "stderr: ".
	Logs []string `json:"logs,omitempty"`
	// Commands are what containers do that run this command line, such as
	// "/app migrate", in place of the image's: print, and exit after the delay.
	Commands map[string]ExecResult `json:"commands,omitempty"`
	// Exec are the results of docker exec by command line, such as "/app -check".
	// "*" is every other command. Without either the call is not modelled.
	Exec map[string]ExecResult `json:"exec,omitempty"`
}

// isDefault says whether b is a Behaviour that says nothing.
func (b *Behaviour) isDefault() bool { return reflect.DeepEqual(b, &Behaviour{}) }

// Response is the answer to a request for one path.
type Response struct {
	Status int               `json:"status,omitempty"` // default 200
	Body   string            `json:"body,omitempty"`
	Header map[string]string `json:"header,omitempty"`
	// After is the answer from that time after the container's start; before, a
	// path answers 503.
	After Duration `json:"after,omitempty"`
	// Delay is how long the answer takes, on the clock.
	Delay Duration `json:"delay,omitempty"`
	// Drop closes the connection without an answer.
	Drop bool `json:"drop,omitempty"`
}

// ExecResult is what a command does in a container.
type ExecResult struct {
	Stdout   string   `json:"stdout,omitempty"`
	Stderr   string   `json:"stderr,omitempty"`
	ExitCode int      `json:"exit_code,omitempty"`
	Delay    Duration `json:"delay,omitempty"` // how long it takes, on the clock
}
