package engine

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/internal/state/engineapi"
)

// newImage makes the image of a fixture.
func (e *Engine) newImage(f *state.Image, now time.Time) (*image, error) {
	refs := f.Tags
	if f.Ref != "" {
		refs = append([]string{f.Ref}, f.Tags...)
	}
	i := &image{id: f.ID, digest: f.ID, arch: f.Arch, parent: f.Parent, created: f.Created, tagged: now, behaviour: f.Behaviour}
	for _, r := range refs {
		ref, err := normalize(r)
		if err != nil {
			return nil, fmt.Errorf("image %q: %w", r, err)
		}
		if !slices.Contains(i.refs, ref) {
			i.refs = append(i.refs, ref)
		}
	}
	slices.Sort(i.refs)
	if i.created.IsZero() {
		i.created = state.Epoch()
	}
	var err error
	if i.config, err = engineapi.ImageConfig(f); err != nil {
		return nil, fmt.Errorf("image %q: %w", f.Ref, err)
	}
	for _, l := range f.Layers {
		i.layers = append(i.layers, &layer{diffID: l.DiffID, size: l.Size})
	}
	if i.layers == nil {
		l, err := textLayer("fixture", f.Ref+"\n")
		if err != nil {
			return nil, err
		}
		l.files = nil // a fixture does not say which programs it has
		i.layers = []*layer{l}
	}
	for n := range i.layers {
		i.history = append(i.history, historyEntry{Created: i.created, CreatedBy: fmt.Sprintf("fixture, layer %d", n+1)})
	}
	if e.packs && f.ID != "" {
		i.digest = "sha256:" + hexSum([]byte("configuration of "+f.ID)) // which nobody knows
	}
	if err := i.seal(); err != nil {
		return nil, err
	}
	i.id = cmp.Or(f.ID, e.storeID(i.digest))
	return i, nil
}
