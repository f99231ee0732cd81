package main

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"time"
)

// archive writes the files of a directory as a tar.gz, in the order of their names.
func archive(dir string, date time.Time) func(*os.File) error {
	return func(f *os.File) error {
		compressed := gzip.NewWriter(f)
		t := tar.NewWriter(compressed)
		if err := pack(t, os.DirFS(dir), date); err != nil {
			return err
		}
		if err := t.Close(); err != nil {
			return err
		}
		return compressed.Close()
	}
}

// pack adds the files of a directory to a tar, all as root's and of one date.
func pack(t *tar.Writer, files fs.FS, date time.Time) error {
	return fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		h := &tar.Header{Name: path, Mode: 0o644, ModTime: date, Typeflag: tar.TypeReg, Size: info.Size()}
		switch {
		case d.IsDir():
			h.Name, h.Mode, h.Typeflag, h.Size = path+"/", 0o755, tar.TypeDir, 0
		case info.Mode()&0o100 != 0:
			h.Mode = 0o755
		}
		if err := t.WriteHeader(h); err != nil || d.IsDir() {
			return err
		}
		f, err := files.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(t, f)
		return err
	})
}
