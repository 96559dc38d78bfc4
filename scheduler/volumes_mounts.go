package scheduler

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime/image"
)

// UserMount is one mount that a service or its image asks for, with names
// resolved but nothing looked up on the machine.
type UserMount struct {
	Type   string // types.VolumeTypeBind, VolumeTypeVolume, VolumeTypeTmpfs or VolumeTypeImage
	Source string // bind: host path; volume: its name on the machine; image: its reference
	Target string
	// Key is the volume's key in the project; empty for anonymous ones.
	Key       string `json:",omitempty"`
	Anonymous bool   `json:",omitempty"`
	ReadOnly  bool   `json:",omitempty"`
	// Create makes a missing bind source a directory; otherwise it is an error.
	Create bool `json:",omitempty"`
	// Propagation of a bind; Recursive as in the Compose file ("", enabled,
	// disabled, writable, readonly).
	Propagation, Recursive string `json:",omitempty"`
	// NoCopy leaves an empty volume empty on first use; Subpath mounts a
	// directory inside the volume or image.
	NoCopy  bool   `json:",omitempty"`
	Subpath string `json:",omitempty"`
	// Labels are those of an anonymous volume.
	Labels map[string]string `json:",omitempty"`
	// Options of a tmpfs, in the form of mount(8).
	Options []string `json:",omitempty"`
}

// UserMounts lists what a container of the service mounts: volumes, tmpfs, then
// what volumes_from brings (the UserMounts of those containers, by reference
// without mode), then the image's VOLUMEs; the first at a target wins over the
// latter two. Two of the service's own at one target are an error. The result is
// sorted so that a mount follows those it lies in.
func UserMounts(p *types.Project, s types.ServiceConfig, img image.Image, instance string, from map[string][]UserMount) ([]UserMount, error) {
	var own []UserMount
	for _, v := range s.Volumes {
		m, err := volumeMount(p, v, instance)
		if err != nil {
			return nil, err
		}
		own = append(own, m)
	}
	for _, text := range s.Tmpfs {
		own = append(own, tmpfsMount(text))
	}
	taken := map[string]bool{}
	for i, m := range own {
		own[i].Target = path.Clean(m.Target)
		if err := checkTarget(own[i].Target); err != nil {
			return nil, err
		}
		if taken[own[i].Target] {
			return nil, fmt.Errorf("two mounts at %s", own[i].Target)
		}
		taken[own[i].Target] = true
	}
	inherited, err := inheritedMounts(s, from)
	if err != nil {
		return nil, err
	}
	all := own
	for _, m := range append(inherited, imageMounts(img, instance)...) {
		if !taken[m.Target] && checkTarget(m.Target) == nil {
			taken[m.Target] = true
			all = append(all, m)
		}
	}
	slices.SortStableFunc(all, func(a, b UserMount) int {
		if d := strings.Count(a.Target, "/") - strings.Count(b.Target, "/"); d != 0 {
			return d
		}
		return strings.Compare(a.Target, b.Target)
	})
	return all, nil
}

func checkTarget(target string) error {
	if !path.IsAbs(target) || target == "/" {
		return fmt.Errorf("cannot mount at %q: want an absolute path below /", target)
	}
	return nil
}

func volumeMount(p *types.Project, v types.ServiceVolumeConfig, instance string) (UserMount, error) {
	m := UserMount{Type: v.Type, Source: v.Source, Target: v.Target, ReadOnly: v.ReadOnly}
	switch v.Type {
	case types.VolumeTypeBind:
		if !path.IsAbs(v.Source) {
			return m, fmt.Errorf("bind source %q is not an absolute path", v.Source)
		}
		m.Source = path.Clean(v.Source)
		if v.Bind != nil {
			m.Create, m.Propagation, m.Recursive = bool(v.Bind.CreateHostPath), v.Bind.Propagation, v.Bind.Recursive
		}
	case types.VolumeTypeVolume:
		if v.Volume != nil {
			m.NoCopy, m.Subpath = v.Volume.NoCopy, v.Volume.Subpath
		}
		if m.Key = v.Source; m.Key == "" {
			m.Anonymous, m.Source = true, AnonymousVolume(instance, path.Clean(v.Target))
			if v.Volume != nil {
				m.Labels = v.Volume.Labels
			}
		} else {
			m.Source = VolumeName(p, m.Key)
		}
	case types.VolumeTypeImage:
		m.Source, m.ReadOnly = image.Absolute(v.Source, p.WorkingDir), true
		if v.Image != nil {
			m.Subpath = v.Image.SubPath
		}
	case types.VolumeTypeTmpfs:
		m.Source = ""
		if v.Tmpfs != nil && v.Tmpfs.Size > 0 {
			m.Options = append(m.Options, "size="+strconv.FormatInt(int64(v.Tmpfs.Size), 10))
		}
		if v.Tmpfs != nil && v.Tmpfs.Mode != 0 {
			m.Options = append(m.Options, "mode="+strconv.FormatUint(uint64(v.Tmpfs.Mode), 8))
		}
	default:
		return m, fmt.Errorf("mount at %s: volumes of type %q are not supported", v.Target, v.Type)
	}
	return m, nil
}

// tmpfsMount reads the short form, TARGET[:OPTIONS].
func tmpfsMount(text string) UserMount {
	target, options, _ := strings.Cut(text, ":")
	m := UserMount{Type: types.VolumeTypeTmpfs, Target: target}
	if options != "" {
		m.Options = strings.Split(options, ",")
	}
	return m
}

// volumesFromRef splits an entry of volumes_from into the container it names and
// whether its mounts become read-only.
func volumesFromRef(text string) (ref string, readOnly bool, err error) {
	rest, isContainer := strings.CutPrefix(text, types.ContainerPrefix)
	name, mode, _ := strings.Cut(rest, ":")
	if mode != "" && mode != "ro" && mode != "rw" {
		return "", false, fmt.Errorf("volumes_from %q: mode is neither ro nor rw", text)
	}
	if isContainer {
		name = types.ContainerPrefix + name
	}
	return name, mode == "ro", nil
}

func inheritedMounts(s types.ServiceConfig, from map[string][]UserMount) ([]UserMount, error) {
	var out []UserMount
	for _, text := range s.VolumesFrom {
		ref, readOnly, err := volumesFromRef(text)
		if err != nil {
			return nil, err
		}
		mounts, ok := from[ref]
		if !ok {
			return nil, fmt.Errorf("volumes_from: %s has no container", ref)
		}
		for _, m := range mounts {
			if m.Type == types.VolumeTypeTmpfs {
				continue // a tmpfs belongs to one container
			}
			m.ReadOnly = m.ReadOnly || readOnly
			// Its owner makes it, fills it and removes it.
			m.Anonymous, m.Create, m.NoCopy = false, false, true
			out = append(out, m)
		}
	}
	return out, nil
}

// imageMounts gives each VOLUME of the image an anonymous volume.
func imageMounts(img image.Image, instance string) []UserMount {
	var out []UserMount
	for _, target := range slices.Sorted(maps.Keys(img.Config.Volumes)) {
		target = path.Clean("/" + target)
		out = append(out, UserMount{Type: types.VolumeTypeVolume, Anonymous: true,
			Source: AnonymousVolume(instance, target), Target: target})
	}
	return out
}
