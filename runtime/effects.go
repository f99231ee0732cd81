package runtime

import (
	"context"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/report/lines"
)

// Op is one call that passes the gate, as guards and sinks see it.
type Op = effect.Op

// Progress is how far a call has come.
type Progress = effect.Progress

// Arg is an argument of a call, as text.
type Arg = effect.Arg

// CallResult is how a call ended.
type CallResult = effect.Result

// Outcome says what a call did: ok, unchanged, refused (nothing was done) or unknown
// (it may have been done).
type Outcome = effect.Outcome

// StepEvent is a step that began or ended.
type StepEvent = effect.Step

// LogEvent is a line that the recipe wrote.
type LogEvent = effect.Log

// UndoEvent is a compensation that was registered, withdrawn or run.
type UndoEvent = effect.Compensation

// Clock tells the time and waits.
type Clock = clock.Clock

// EventType says what an Event tells.
type EventType = effect.EventType

// The types of events.
const (
	OpStart    = effect.OpStart
	OpProgress = effect.OpProgress
	OpEnd      = effect.OpEnd
	StepStart  = effect.StepStart
	StepEnd    = effect.StepEnd
	LogLine    = effect.LogLine
	Deferred   = effect.Deferred
	Withdrawn  = effect.Withdrawn
	Undone     = effect.Undone
)

// The kinds of error; docs/errors.md says what each means.
const (
	Usage       = failure.Usage
	Syntax      = failure.Syntax
	Script      = failure.Script
	Invalid     = failure.Invalid
	NotFound    = failure.NotFound
	Conflict    = failure.Conflict
	Timeout     = failure.Timeout
	Auth        = failure.Auth
	Unavailable = failure.Unavailable
	Unhealthy   = failure.Unhealthy
	Denied      = failure.Denied
	Limit       = failure.Limit
	Refused     = failure.Refused
	Unknown     = failure.Unknown
	Journal     = failure.Journal
	Cancelled   = failure.Cancelled
	NotModelled = failure.NotModelled
	Output      = failure.Output
	Internal    = failure.Internal
)

// Report shows how far the call under ctx, that of an Effect function, has come.
func Report(ctx context.Context, p Progress) { effect.Report(ctx, p) }

// Note gives the result of the call under ctx in a few words.
func Note(ctx context.Context, summary string) { effect.Note(ctx, summary) }

// Unaltered says that the call under ctx found the world as wanted and changed
// nothing.
func Unaltered(ctx context.Context) { effect.Unaltered(ctx) }

// ExitCode returns the exit code of a process that ends with err.
func ExitCode(err error) int { return failure.ExitCode(err) }

// Lines is a sink that writes a run's effects for programs, one JSON object a line,
// as mepc-run --json does; its End writes how the run ended. The fields of EffectLine,
// ResultLine and ErrorLine say what the keys mean.
type (
	Lines      = lines.Writer
	EffectLine = lines.Effect
	ResultLine = lines.Result
	ErrorLine  = lines.Error
)
