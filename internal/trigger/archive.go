package trigger

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/mepc/mepc-run/internal/watch"
	"github.com/mepc/mepc-run/modules/on"
)

// A directory is looked at when something in it has changed and then was quiet for
// settle, and every look without that. An archive that is not whole is looked at
// again with every change.
const (
	settle = 200 * time.Millisecond
	again  = 30 * time.Second
)

// archives fires for each archive that is whole and was not there before.
func (s *source) archives(ctx context.Context, t *on.Archive) error {
	dir := t.Dir
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(s.Dir, dir)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	set, err := watch.NewSet()
	if err != nil {
		return err
	}
	defer set.Close()
	at, err := filepath.EvalSymlinks(dir)
	if err == nil {
		err = set.Watch(map[string]watch.Names{at: {Any: true}})
	}
	if err != nil {
		return err
	}
	told := map[string]string{}
	for {
		if err := s.newArchives(ctx, dir, t, told); err != nil {
			return err
		}
		if _, err := set.Next(ctx, settle, again); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

func (s *source) newArchives(ctx context.Context, dir string, t *on.Archive, told map[string]string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	memory, fresh, err := s.memory()
	if err != nil {
		return err
	}
	there, changed := map[string]bool{}, fresh
	for _, e := range entries {
		name := e.Name()
		info, err := os.Stat(filepath.Join(dir, name))
		if ok, _ := path.Match(t.Match, name); !ok || err != nil || !info.Mode().IsRegular() {
			continue
		}
		there[name] = true
		stamp := fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())
		if memory.Names[name] == stamp {
			continue
		}
		p := filepath.Join(dir, name)
		if err := whole(ctx, p); err != nil {
			if told[name] != err.Error() {
				told[name] = err.Error()
				s.log.Warn("an archive is not used yet: it may still be written", "archive", p, "error", err)
			}
			continue
		}
		err = s.fire(map[string]any{"archive": p, "name": name}, memory.delivery(s.recipe+" "+p+" "+stamp))
		if err != nil && !final(err) {
			return errors.Join(err, memory.keep())
		}
		changed = true
		memory.note(name, stamp)
	}
	for name := range memory.Names {
		if !there[name] {
			delete(memory.Names, name)
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return memory.keep()
}

// What an archive may have: bytes of its manifest, and parts.
const (
	maxManifest = 1 << 20
	maxParts    = 100_000
)

// whole returns nil when a file is an archive as docker save writes it, to its end.
func whole(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var manifest []struct {
		Config string
		Layers []string
	}
	isManifest, has := false, map[string]bool{}
	r := tar.NewReader(f)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if has[path.Clean(h.Name)] = true; len(has) > maxParts {
			return fmt.Errorf("it has more than %d parts: %w", maxParts, fs.ErrInvalid)
		}
		if ctx.Err() != nil { // it may be of any length
			return context.Cause(ctx)
		}
		if path.Clean(h.Name) == "manifest.json" {
			isManifest = true
			if err := json.NewDecoder(io.LimitReader(r, maxManifest)).Decode(&manifest); err != nil {
				return fmt.Errorf("manifest.json: %w", err)
			}
		}
	}
	if !isManifest {
		return fmt.Errorf("it has no manifest.json: %w", fs.ErrInvalid)
	}
	for _, m := range manifest {
		for _, part := range append(m.Layers, m.Config) {
			if !has[path.Clean(part)] {
				return fmt.Errorf("it ends before %s: %w", part, io.ErrUnexpectedEOF)
			}
		}
	}
	return nil
}
