package engine

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/mepc/mepc-run/internal/state"
)

// imageSave writes images as the engine does: the same files in the same layout.
// A reference brings its tag along, an ID does not.
func imageSave(c *call) (reply, error) {
	names := c.query["names"]
	if c.name != "" {
		names = []string{c.name}
	}
	s := saver{e: c.e, repositories: map[string]map[string]string{}, written: map[string]bool{}}
	s.tw = tar.NewWriter(&s.buf)
	for _, name := range names {
		i, err := c.e.findImage(name)
		var api *apiError
		switch {
		case errors.As(err, &api) && api.status == http.StatusNotFound:
			return reply{}, notFound("reference does not exist")
		case err != nil:
			return reply{}, err
		}
		ref := ""
		if !isIDPrefix(i.id, name) {
			if ref, err = normalize(name); err != nil {
				return reply{}, badRequest("%v", err)
			}
		}
		if err := s.add(i, ref); err != nil {
			return reply{}, err
		}
	}
	if err := s.finish(); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, ctype: "application/x-tar", body: s.buf.Bytes()}, nil
}

type saver struct {
	e            *Engine
	buf          bytes.Buffer
	tw           *tar.Writer
	manifest     []manifestItem
	images       []string // those of manifest
	repositories map[string]map[string]string
	written      map[string]bool
}

// add writes an image's files, unless an earlier image had them.
func (s *saver) add(i *image, ref string) error {
	n := slices.Index(s.images, i.id)
	if n < 0 {
		item := manifestItem{Config: i.digest[len("sha256:"):] + ".json"}
		parent := ""
		for k, chain := range chainIDs(i.layers) {
			dir := v1ID(i, k, chain, parent)
			if err := s.layer(i, i.layers[k], dir, parent); err != nil {
				return err
			}
			item.Layers = append(item.Layers, dir+"/layer.tar")
			parent = dir
		}
		if err := s.file(item.Config, i.raw, i.created); err != nil {
			return err
		}
		n = len(s.manifest)
		s.manifest, s.images = append(s.manifest, item), append(s.images, i.id)
	}
	if ref == "" {
		return nil
	}
	item := &s.manifest[n]
	if slices.Contains(item.RepoTags, ref) {
		return nil
	}
	item.RepoTags = append(item.RepoTags, ref)
	repo, tag := state.SplitTag(ref)
	if s.repositories[repo] == nil {
		s.repositories[repo] = map[string]string{}
	}
	if k := len(item.Layers); k > 0 {
		s.repositories[repo][tag] = item.Layers[k-1][:64]
	}
	return nil
}

func (s *saver) layer(i *image, l *layer, dir, parent string) error {
	v1, err := json.Marshal(struct {
		ID      string    `json:"id"`
		Parent  string    `json:"parent,omitempty"`
		Created time.Time `json:"created"`
		OS      string    `json:"os"`
	}{dir, parent, i.created, "linux"})
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		body []byte
	}{{"VERSION", []byte("1.0")}, {"json", v1}, {"layer.tar", l.content()}} {
		if err := s.file(dir+"/"+f.name, f.body, i.created); err != nil {
			return err
		}
	}
	return nil
}

func (s *saver) finish() error {
	manifest, err := json.Marshal(s.manifest)
	if err != nil {
		return err
	}
	if err := s.file("manifest.json", manifest, time.Unix(0, 0)); err != nil {
		return err
	}
	if len(s.repositories) > 0 {
		repositories, err := json.Marshal(s.repositories)
		if err != nil {
			return err
		}
		if err := s.file("repositories", append(repositories, '\n'), time.Unix(0, 0)); err != nil {
			return err
		}
	}
	return s.tw.Close()
}

func (s *saver) file(name string, body []byte, at time.Time) error {
	if s.written[name] {
		return nil
	}
	s.written[name] = true
	hdr := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(body)), ModTime: at.Truncate(time.Second), Format: tar.FormatUSTAR}
	if err := s.tw.WriteHeader(hdr); err != nil {
		return err
	}
	_, err := s.tw.Write(body)
	return err
}

// emptyConfig is a container's configuration as the engine writes an empty one.
const emptyConfig = `{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,` +
	`"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"",` +
	`"Entrypoint":null,"OnBuild":null,"Labels":null}`

// v1ID names the directory of layer n. For all but the top one it is what a real
// engine of 20.10 derives from the chain of layers; the top one's hangs on
// fields that a simulated image does not have.
func v1ID(i *image, n int, chain, parent string) string {
	config := map[string]json.RawMessage{
		"container_config": json.RawMessage(emptyConfig),
		"created":          json.RawMessage(`"1970-01-01T00:00:00Z"`),
		"layer_id":         json.RawMessage(`"` + chain + `"`),
	}
	if n == len(i.layers)-1 {
		config["config"] = i.raw
	}
	if parent != "" {
		config["parent"] = json.RawMessage(`"sha256:` + parent + `"`)
	}
	b, err := json.Marshal(config)
	if err != nil {
		panic("sim: encode a layer's identity: " + err.Error()) // all of it was encoded here
	}
	return hexSum(b)
}
