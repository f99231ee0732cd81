package ship

import (
	"io"

	"github.com/klauspost/compress/zstd"
)

// NewZstd returns a writer that compresses with zstd, in a few MB of memory.
func NewZstd(w io.Writer) io.WriteCloser {
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
	if err != nil {
		panic("ship: " + err.Error()) // the options are valid
	}
	return z
}
