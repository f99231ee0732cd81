package engine

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
)

// boxFile is a file that was put into a container. It is not modified.
type boxFile struct {
	mode    fs.FileMode
	uid     int
	gid     int
	mtime   time.Time
	content []byte
	link    string
}

// always are directories that the engine makes in every container.
var always = [...]string{"/", "/dev", "/etc", "/proc", "/sys"}

// hasDir says whether a directory is in the container; known is false where the
// files of its image are not known, and nothing was put there.
func (c *ctr) hasDir(dir string) (has, known bool) {
	for _, d := range always {
		if d == dir {
			return true, true
		}
	}
	for _, m := range c.mounts() {
		if m.Destination == dir {
			return true, true
		}
	}
	for name, f := range c.files {
		if name == dir {
			return f.mode.IsDir(), true
		}
		if strings.HasPrefix(name, dir+"/") {
			return true, true
		}
	}
	if wd := c.config.WorkingDir; wd == dir || strings.HasPrefix(wd, dir+"/") {
		return true, true
	}
	if _, known := c.image.hasFile(dir); !known {
		return false, false
	}
	return c.image.hasBelow(dir), true
}

// hasBelow says whether the image, whose files are known, has some in dir.
func (i *image) hasBelow(dir string) bool {
	for _, l := range i.layers {
		for name := range l.files {
			if strings.HasPrefix(name, dir+"/") {
				return true
			}
		}
	}
	return false
}

// mounted says whether p is in something that is mounted: what it holds is not
// the container's alone.
func (c *ctr) mounted(p string) bool {
	for _, m := range c.mounts() {
		if p == m.Destination || strings.HasPrefix(p, m.Destination+"/") {
			return true
		}
	}
	return false
}

// archivePath reads the parameter path.
func (c *call) archivePath() (string, error) {
	p := c.query.Get("path")
	if p == "" {
		return "", badRequest("bad parameter: pathcannot be empty")
	}
	return path.Clean("/" + p), nil
}

func (c *call) noFile(p string) error {
	return notFound("Could not find the file %s in container %s", p, c.name)
}

// archiveGet sends a file that was put there before. What else is in a container
// is not known: nobody executed what would have written it.
func archiveGet(c *call) (reply, error) {
	p, err := c.archivePath()
	if err != nil {
		return reply{}, err
	}
	box, err := c.e.find(c.name)
	if err != nil {
		return reply{}, err
	}
	f := box.files[p]
	if f == nil || f.mode.IsDir() {
		if dir, known := box.hasDir(p); known && !dir && !box.mounted(p) {
			if has, known := box.image.hasFile(p); known && !has {
				return reply{}, c.noFile(c.query.Get("path"))
			}
		}
		return reply{}, notModelled("what %s holds in a container of %s", p, box.imageRef)
	}
	stat, err := json.Marshal(container.PathStat{Name: path.Base(p), Size: int64(len(f.content)), Mode: f.mode, Mtime: f.mtime, LinkTarget: f.link})
	if err != nil {
		return reply{}, err
	}
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	h := &tar.Header{
		Name: path.Base(p), Typeflag: tar.TypeReg, Mode: int64(f.mode.Perm()) | 0o100000, Uid: f.uid, Gid: f.gid, Size: int64(len(f.content)), ModTime: f.mtime,
	}
	if f.link != "" {
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, f.link, 0o120777
	}
	if err := errors.Join(tw.WriteHeader(h), writeAll(tw, f.content), tw.Close()); err != nil {
		return reply{}, err
	}
	return reply{
		status: http.StatusOK, ctype: "application/x-tar", body: b.Bytes(),
		header: map[string]string{"X-Docker-Container-Path-Stat": base64.StdEncoding.EncodeToString(stat)},
	}, nil
}

func writeAll(w io.Writer, b []byte) error {
	_, err := w.Write(b)
	return err
}

// archivePut unpacks a tar in a container.
func archivePut(c *call) (reply, error) {
	p, err := c.archivePath()
	if err != nil {
		return reply{}, err
	}
	c.timeline.Lock()
	box, err := c.e.find(c.name)
	c.timeline.Unlock()
	if err != nil {
		return reply{}, err
	}
	body := c.req.Body
	if body == nil {
		body = http.NoBody
	}
	files, broken := untar(body, p) // without the lock: it may take long
	c.timeline.Lock()
	defer c.timeline.Unlock()
	if c.e.containers[box.id] != box {
		return reply{}, noSuchContainer(c.name)
	}
	r := reply{status: http.StatusOK}
	has, known := box.hasDir(p)
	switch {
	case known && !has && box.isFile(p):
		return reply{}, serverError("extraction point is not a directory")
	case known && !has:
		return reply{}, c.noFile(c.query.Get("path"))
	case !known:
		r.header = map[string]string{Assumed: "a container of " + box.imageRef + " was taken to have the directory " + p}
	}
	if box.host.ReadonlyRootfs && !box.mounted(p) {
		return reply{}, serverError("container rootfs is marked read-only")
	}
	next := maps.Clone(box.files)
	if next == nil {
		next = map[string]*boxFile{}
	}
	maps.Copy(next, files)
	box.files = next
	c.e.silent++
	if broken != nil { // what came before is there, as in the real one
		return reply{}, serverError("%v", broken)
	}
	c.e.emitContainer(box, c.timeline.Now(), "extract-to-dir", "path", p)
	return r, nil
}

// isFile says whether p is known to be a file.
func (c *ctr) isFile(p string) bool {
	if f := c.files[p]; f != nil {
		return !f.mode.IsDir()
	}
	has, known := c.image.hasFile(p)
	return known && has
}

// untar reads the files of a tar, as they will be called below dir.
func untar(r io.Reader, dir string) (map[string]*boxFile, error) {
	files := map[string]*boxFile{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return files, err
		}
		f := &boxFile{mode: h.FileInfo().Mode(), uid: h.Uid, gid: h.Gid, mtime: h.ModTime, link: h.Linkname}
		if f.content, err = io.ReadAll(tr); err != nil {
			return files, err
		}
		files[path.Join(dir, path.Clean("/"+h.Name))] = f
	}
}
