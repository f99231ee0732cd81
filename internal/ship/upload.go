package ship

import (
	"hash"
	"os"
)

// upload is a blob as it comes.
type upload struct {
	sum     hash.Hash
	size    int64
	file    *os.File // has no name any more; nil: nothing was written, or it was dropped
	dropped bool
}

func (u *upload) write(p []byte) error {
	if u.file == nil {
		f, err := os.CreateTemp("", "mepc-run-blob-*")
		if err != nil {
			return err
		}
		u.file = f
		if err := os.Remove(f.Name()); err != nil {
			return err
		}
	}
	_, err := u.file.Write(p)
	return err
}

func (u *upload) drop() {
	if u.file != nil {
		_ = u.file.Close() // it was to go
	}
	u.file, u.dropped = nil, true
}
