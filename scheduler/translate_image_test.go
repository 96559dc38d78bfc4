package scheduler

import (
	"fmt"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime"
	"stack/runtime/image"
)

func TestImageMounts(t *testing.T) {
	tr := &translator{in: TranslateInput{Sources: map[string]image.Image{
		"oci:/i":   {Layers: []string{"/l/top", "/l/low"}},
		"rootfs:/": {Layers: []string{"/l/host"}, Overlays: []runtime.Overlay{{Target: "/usr", Lower: "/usr"}, {Target: "/opt", Lower: "/opt"}}},
	}}}
	for _, c := range []struct{ source, sub, want string }{
		{"oci:/i", "", "/t ro,nodev,nosuid,lowerdir+=/l/top,lowerdir+=/l/low"},
		{"oci:/i", "etc/x", "/t ro,nodev,nosuid,subpath=etc/x,lowerdir+=/l/top,lowerdir+=/l/low"},
		{"rootfs:/", "/", "/t ro,nodev,nosuid,lowerdir+=/l/host; /t/usr ro,nodev,nosuid,lowerdir+=/usr; /t/opt ro,nodev,nosuid,lowerdir+=/opt"},
		{"rootfs:/", "etc", "/t ro,nodev,nosuid,subpath=etc,lowerdir+=/l/host"},
		{"rootfs:/", "usr", "/t ro,nodev,nosuid,lowerdir+=/usr"},
		{"rootfs:/", "usr/share/doc", "/t ro,nodev,nosuid,subpath=share/doc,lowerdir+=/usr"},
		{"rootfs:/", "usrlocal", "/t ro,nodev,nosuid,subpath=usrlocal,lowerdir+=/l/host"},
		{"rootfs:/", "../etc", `subpath "../etc" leads out of the image`},
		{"oci:/none", "", "no such image: oci:/none"},
	} {
		mounts, err := tr.imageMounts(UserMount{Type: types.VolumeTypeImage, Source: c.source, Target: "/t", Subpath: c.sub})
		var got []string
		for _, m := range mounts {
			got = append(got, m.Destination+" "+strings.Join(m.Options, ","))
		}
		if err != nil {
			got = []string{fmt.Sprint(err)}
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s %q:\n got %s\nwant %s", c.source, c.sub, strings.Join(got, "; "), c.want)
		}
	}
}

// Another image behind the reference of a mount recreates who mounts it.
func TestChangedImageVolumeIsStale(t *testing.T) {
	st, w := testStack(testService{name: "web"}), newWorld()
	w.seen.Sources = map[string]map[string]string{"web": {"oci:/i": "sha256:1"}}
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp})
	w.settle(t, want, nil)
	if p := w.settle(t, want, nil); !p.Empty() {
		t.Fatalf("unchanged:\n%s", p)
	}
	w.seen.Sources["web"] = map[string]string{"oci:/i": "sha256:2"}
	if p := Reconcile(want, w.seen, w.now); !strings.Contains(p.String(), "an image that it mounts changed") {
		t.Errorf("plan:\n%s", p)
	}
}
