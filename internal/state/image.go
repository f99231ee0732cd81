package state

import (
	"strings"
	"time"

	"github.com/distribution/reference"
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

	Arch        string            `json:"arch,omitempty"` // the machine that it is for; default amd64, as the engine's
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

// SplitTag splits an image's name as docker shows it: registry:5000/app:1.0 is
// registry:5000/app and 1.0. An ID, and a name without a tag, has none.
func SplitTag(ref string) (repository, tag string) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil || strings.HasPrefix(ref, "sha256:") {
		return ref, ""
	}
	if tagged, ok := named.(reference.Tagged); ok {
		tag = tagged.Tag()
	}
	return reference.FamiliarName(named), tag
}
