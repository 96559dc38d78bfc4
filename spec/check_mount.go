package spec

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
)

// checkMounts: every mount has an absolute target, and no two have the same.
func checkMounts(m *model, r *report) {
	for _, s := range m.enabled() {
		targets := map[string]place{}
		for _, item := range s.v.get("tmpfs").list() {
			target, _, _ := strings.Cut(item.text(), ":")
			mountAt(r, targets, target, item.at)
		}
		for _, item := range s.v.get("volumes").list() {
			checkMount(r, targets, item)
		}
	}
}

func checkMount(r *report, targets map[string]place, item *value) {
	if item.kind != mapping {
		v, err := format.ParseVolume(item.text())
		if err != nil {
			r.addf(item.at, "mount", "%q is no mount: %s", item.text(), strings.TrimPrefix(err.Error(), "invalid spec: "+item.text()+": "))
			return
		}
		checkMountOptions(r, item)
		if v.Source == "" && strings.Contains(v.Target, ":") {
			r.add(item.at, "mount", fmt.Sprintf("%q reads as a Windows path", item.text()),
				"a volume with a name of one letter needs the long form")
			return
		}
		mountAt(r, targets, v.Target, item.at)
		return
	}
	target := item.get("target")
	if target.text() == "" {
		r.add(item.at, "mount", "a mount needs a target", "")
		return
	}
	if item.get("type").text() == types.VolumeTypeBind && item.get("source").text() == "" {
		r.add(item.at, "mount", "a bind mount needs a source", "")
	}
	if item.get("type").text() == types.VolumeTypeImage && item.get("source").text() == "" {
		r.add(item.at, "mount", "an image mount needs an image as its source", "")
	}
	mountAt(r, targets, target.text(), target.at)
}

// checkMountOptions: compose-go skips unknown options of the short form.
func checkMountOptions(r *report, item *value) {
	parts := strings.Split(item.text(), ":")
	if len(parts) < 3 {
		return
	}
	known := append([]string{"ro", "rw", "nocopy", "z", "Z"}, format.Propagations...)
	for option := range strings.SplitSeq(parts[len(parts)-1], ",") {
		v := &value{data: option, at: item.at}
		if slices.Contains([]string{"cached", "consistent", "delegated"}, option) {
			r.warn(item.at, "ignored-key", fmt.Sprintf("mount option %q has no effect: %s", option, macOnly), "")
			continue
		}
		oneOf(r, v, "mount option", known...)
	}
}

func mountAt(r *report, targets map[string]place, target string, at place) {
	if !path.IsAbs(target) {
		r.addf(at, "mount", "the target of a mount must be an absolute path, not %q", target)
		return
	}
	target = path.Clean(target)
	if first, taken := targets[target]; taken {
		r.addf(at, "mount", "%s is mounted already (%s)", target, first.seenFrom(at))
		return
	}
	targets[target] = at
}
