package runtime

import "log/slog"

// Secret is a value that must not be seen: in Lua an opaque object, in Go a
// type that prints as [secret]. Arguments whose field is tagged "secret" take
// one where they take a string.
type Secret struct{ raw string }

// redacted is what stands wherever a secret would.
const redacted = "[secret]"

// NewSecret returns raw as a secret.
func NewSecret(raw string) Secret { return Secret{raw} }

// Reveal returns the raw value, for the call that needs it.
func (s Secret) Reveal() string { return s.raw }

// String returns [secret].
func (s Secret) String() string { return redacted }

// GoString returns [secret].
func (s Secret) GoString() string { return redacted }

// MarshalText returns [secret].
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns [secret].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
