package spec

import (
	"fmt"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
)

// checkVolumes: named volumes of services are defined.
func checkVolumes(m *model, r *report) {
	defined := m.root.get("volumes")
	for _, s := range m.enabled() {
		for _, item := range s.v.get("volumes").list() {
			source, at := volumeSource(item)
			if source != "" && defined.get(source) == nil && !m.partial {
				r.add(at, "undefined-volume", fmt.Sprintf("service %q refers to the undefined volume %q", s.name, source),
					DidYouMean(source, defined.members()))
			}
		}
	}
}

// volumeSource is the name of the volume that a mount uses, "" for other mounts.
func volumeSource(item *value) (string, place) {
	if item.kind == mapping {
		source := item.get("source")
		if item.get("type").text() == types.VolumeTypeVolume && source != nil {
			return source.text(), source.at
		}
		return "", place{}
	}
	v, err := format.ParseVolume(item.text())
	if err != nil || v.Type != types.VolumeTypeVolume {
		return "", place{}
	}
	return v.Source, item.at
}
