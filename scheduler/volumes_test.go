package scheduler

import (
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stack/runtime/image"
)

func TestNames(t *testing.T) {
	p := &types.Project{Name: "shop",
		Volumes:  types.Volumes{"data": {}, "named": {Name: "other"}, "ext": {External: true}},
		Networks: types.Networks{"front": {}, "named": {Name: "other"}, "ext": {External: true}},
	}
	for key, want := range map[string]string{"data": "shop_data", "named": "other", "ext": "ext"} {
		if got := VolumeName(p, key); got != want {
			t.Errorf("volume %s: got %s", key, got)
		}
	}
	for key, want := range map[string]string{"front": "shop_front", "named": "other", "ext": "ext"} {
		if got := NetworkName(p, key); got != want {
			t.Errorf("network %s: got %s", key, got)
		}
	}
}

func TestAnonymousVolumesAreStableAndApart(t *testing.T) {
	a := AnonymousVolume("shop-db-1", "/data")
	if len(a) != 64 || strings.Trim(a, "0123456789abcdef") != "" || a != AnonymousVolume("shop-db-1", "/data") {
		t.Errorf("got %s", a)
	}
	if a == AnonymousVolume("shop-db-2", "/data") || a == AnonymousVolume("shop-db-1", "/log") || a == AnonymousVolume("shop-db-1/", "data") {
		t.Error("two volumes share a name")
	}
}

func TestObjectHashes(t *testing.T) {
	volume := VolumeHash(types.VolumeConfig{Name: "a"})
	if volume != VolumeHash(types.VolumeConfig{Name: "a", Driver: "local", CustomLabels: types.Labels{"x": "y"}}) {
		t.Error("the default driver or our own labels change a volume's hash")
	}
	if volume == VolumeHash(types.VolumeConfig{Name: "a", Labels: types.Labels{"x": "y"}}) {
		t.Error("a label does not change a volume's hash")
	}
	network := NetworkHash(types.NetworkConfig{Name: "a"})
	if network != NetworkHash(types.NetworkConfig{Name: "a", Driver: "bridge"}) {
		t.Error("the default driver changes a network's hash")
	}
	subnet := types.IPAMConfig{Config: []*types.IPAMPool{{Subnet: "10.0.0.0/24"}}}
	if network == NetworkHash(types.NetworkConfig{Name: "a", Ipam: subnet}) {
		t.Error("a subnet does not change a network's hash")
	}
}

func TestUserMountsOrderAndPrecedence(t *testing.T) {
	p := &types.Project{Name: "shop", Volumes: types.Volumes{"v": {}}}
	s := types.ServiceConfig{Name: "app", ContainerSpec: types.ContainerSpec{
		Volumes: []types.ServiceVolumeConfig{
			{Type: "volume", Source: "v", Target: "/b/c/d"},
			{Type: "bind", Source: "/src/", Target: "/b/"},
			{Type: "volume", Target: "/z"},
		},
		Tmpfs:       types.StringList{"/b/c"},
		VolumesFrom: []string{"db:ro"},
	}}
	from := map[string][]UserMount{"db": {
		{Type: "bind", Source: "/theirs", Target: "/b"},
		{Type: "volume", Source: "keep", Target: "/from", Anonymous: true},
	}}
	img := image.Image{Config: v1.ImageConfig{Volumes: map[string]struct{}{"/from": {}, "/own": {}, "/": {}}}}
	got, err := UserMounts(p, s, img, "shop-app-1", from)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, m := range got {
		lines = append(lines, strings.Join([]string{m.Type, m.Source[:min(8, len(m.Source))], m.Target}, " "))
	}
	want := "bind /src /b\nvolume keep /from\nvolume " + AnonymousVolume("shop-app-1", "/own")[:8] + " /own\nvolume " +
		AnonymousVolume("shop-app-1", "/z")[:8] + " /z\ntmpfs  /b/c\nvolume shop_v /b/c/d"
	if strings.Join(lines, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), want)
	}
	if m := got[1]; !m.ReadOnly || m.Anonymous || !m.NoCopy {
		t.Errorf("inherited mount %+v", m)
	}
}

func TestVolumesFromRef(t *testing.T) {
	for text, want := range map[string]string{"db": "db rw", "db:rw": "db rw", "db:ro": "db ro",
		"container:x": "container:x rw", "container:x:ro": "container:x ro"} {
		ref, ro, err := volumesFromRef(text)
		got := ref + " " + map[bool]string{true: "ro", false: "rw"}[ro]
		if err != nil || got != want {
			t.Errorf("%s: got %s, %v", text, got, err)
		}
	}
	if _, _, err := volumesFromRef("db:x"); err == nil {
		t.Error("mode x accepted")
	}
}

// TestVolumeNames would fail if a name could lead out of the volumes' directory.
func TestVolumeNames(t *testing.T) {
	l := Layout{Lib: t.TempDir()}
	for _, name := range []string{"..", ".", "", "../x", "a/b", "/etc", "a\x00b", "-x"} {
		if l.SaveVolume(Volume{Name: name}) == nil {
			t.Errorf("volume %q was made", name)
		}
		if l.RemoveVolume(name) == nil {
			t.Errorf("volume %q was removed", name)
		}
		if _, err := l.LoadVolume(name); err == nil {
			t.Errorf("volume %q was found", name)
		}
	}
	if err := l.SaveVolume(Volume{Name: "my_data.1"}); err != nil {
		t.Error(err)
	}
}
