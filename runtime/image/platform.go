package image

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// machine is this machine's platform. Without a variant the baseline is meant.
func machine() v1.Platform { return v1.Platform{OS: "linux", Architecture: runtime.GOARCH} }

// parsePlatform reads OS/ARCH[/VARIANT], or ARCH alone; "" is this machine's.
func parsePlatform(s string) (v1.Platform, error) {
	if s == "" {
		return machine(), nil
	}
	if !strings.Contains(s, "/") {
		s = "linux/" + s
	}
	p, err := platforms.Parse(s)
	if err != nil {
		return p, fmt.Errorf("cannot read platform %q: %w", s, err)
	}
	if p.OS != "linux" {
		return p, fmt.Errorf("images for %s do not run here", p.OS)
	}
	return p, nil
}

// isNative says whether p is what a reference means when no platform is asked for.
func isNative(p v1.Platform) bool {
	return p.Architecture == runtime.GOARCH && (p.Variant == "" || p.Architecture == "arm64" && p.Variant == "v8")
}

// choosePlatform picks a descriptor for p. Descriptors that state no platform are
// for any; "unknown" is that of attestations.
func choosePlatform(all []v1.Descriptor, p v1.Platform) (v1.Descriptor, error) {
	var any, same []v1.Descriptor
	var others []string
	for _, d := range all {
		if d.Platform == nil {
			any = append(any, d)
			continue
		}
		has := platforms.Normalize(*d.Platform)
		if has.OS == p.OS && has.Architecture == p.Architecture {
			same = append(same, d)
		} else if has.OS != "unknown" {
			others = append(others, platforms.Format(has))
		}
	}
	if d, ok := bestVariant(same, p.Variant); ok {
		return d, nil
	}
	switch len(any) {
	case 1:
		return any[0], nil
	case 0:
		return v1.Descriptor{}, fmt.Errorf("%w: there is none for %s, only: %s", ErrNotFound, platforms.Format(p), strings.Join(others, ", "))
	}
	return v1.Descriptor{}, fmt.Errorf("%w: there are %d images, say which one: %s", ErrNotFound, len(any), strings.Join(namesOf(any), ", "))
}

// bestVariant prefers what is asked for, then what that runs too, the newest first.
// Who asks for nothing gets the baseline that every machine of the architecture runs.
func bestVariant(all []v1.Descriptor, want string) (v1.Descriptor, bool) {
	if len(all) == 0 {
		return v1.Descriptor{}, false
	}
	order := []string{"", "v8", "v1"}
	if want != "" {
		order = []string{want}
		for _, older := range []string{"v8", "v7", "v6", "v5", "v4", "v3", "v2", "v1", ""} {
			if older < want {
				order = append(order, older)
			}
		}
	}
	for _, variant := range order {
		i := slices.IndexFunc(all, func(d v1.Descriptor) bool { return d.Platform.Variant == variant })
		if i >= 0 {
			return all[i], true
		}
	}
	return all[0], want == ""
}
