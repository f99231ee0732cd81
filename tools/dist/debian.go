package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
)

// debian makes the package that packaging/nfpm.yaml describes, of the files in dir.
func (r *release) debian(name, dir, arch string) error {
	values := map[string]string{"ARCH": arch, "VERSION": r.version}
	// The paths in the file are from the top of the tree.
	if err := os.Chdir(r.root); err != nil {
		return err
	}
	config, err := nfpm.ParseFileWithEnvMapping(filepath.Join("packaging", "nfpm.yaml"), func(key string) string { return values[key] })
	if err != nil {
		return err
	}
	for _, c := range config.Contents {
		c.Source = strings.ReplaceAll(c.Source, "${FILES}", dir)
	}
	info := nfpm.WithDefaults(&config.Info)
	info.MTime = r.time
	info.Overridables.Deb.Compression = "xz"
	if err := nfpm.PrepareForPackager(info, "deb"); err != nil {
		return fmt.Errorf("packaging/nfpm.yaml: %w", err)
	}
	return r.write(name, func(f *os.File) error { return deb.Default.Package(info, f) })
}
