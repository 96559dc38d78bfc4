package scheduler

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime/image"
)

// imageMounts show an image's files, read-only as Docker has it: one overlay of its
// layers, and one more for each tree of the host that rootfs:/ has inside.
func (t *translator) imageMounts(m UserMount) ([]specs.Mount, error) {
	img, ok := t.in.Sources[m.Source]
	if !ok {
		return nil, fmt.Errorf("no such image: %s", m.Source)
	}
	if rest := strings.TrimPrefix(m.Subpath, "/"); rest != "" && !filepath.IsLocal(rest) {
		return nil, fmt.Errorf("subpath %q leads out of the image", m.Subpath)
	}
	sub := path.Clean("/" + m.Subpath)
	for _, o := range img.Overlays {
		if rest, in := strings.CutPrefix(sub+"/", o.Target+"/"); in {
			return []specs.Mount{layersMount(m.Target, []string{o.Lower}, path.Clean("/"+rest))}, nil
		}
	}
	layers, noLinks := t.layersOf(img)
	out := []specs.Mount{layersMount(m.Target, layers, sub)}
	if noLinks && t.refusesLinks() {
		out[0].Options = append(out[0].Options, "nosymlinks")
	}
	if sub == "/" {
		for _, o := range img.Overlays {
			out = append(out, layersMount(path.Join(m.Target, o.Target), []string{o.Lower}, "/"))
		}
	}
	return out, nil
}

// layersOf are an image's layers. Where one is a directory of this machine, somebody may
// put links on the way to it, which are not to be followed.
func (t *translator) layersOf(img image.Image) (dirs []string, noLinks bool) {
	for _, dir := range img.Layers {
		if real := t.in.Real[dir]; real != "" {
			dir, noLinks = real, true
		}
		dirs = append(dirs, dir)
	}
	return dirs, noLinks
}

// layersMount is the runtime's form of a read-only overlay.
func layersMount(target string, layers []string, sub string) specs.Mount {
	m := specs.Mount{Destination: target, Type: "overlay", Source: "overlay", Options: []string{"ro", "nodev", "nosuid"}}
	if sub != "/" {
		m.Options = append(m.Options, "subpath="+strings.TrimPrefix(sub, "/"))
	}
	for _, dir := range layers {
		m.Options = append(m.Options, "lowerdir+="+dir)
	}
	return m
}

// digestsOf are the digests of the images that a service mounts, by reference.
func digestsOf(sources map[string]image.Image) map[string]string {
	out := map[string]string{}
	for ref, img := range sources {
		out[ref] = img.Digest
	}
	return out
}
