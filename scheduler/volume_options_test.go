package scheduler

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestVolumeOptions(t *testing.T) {
	for _, c := range []struct{ kind, o, device, want string }{
		{"", "", "", "a volume with options needs a device"},
		{"tmpfs", "size=100m,uid=1000", "tmpfs", "tmpfs tmpfs [size=100m uid=1000]"},
		{"nfs", "addr=10.0.0.1,rw,nfsvers=4.1,x-systemd.automount,_netdev", ":/export", "nfs :/export [addr=10.0.0.1 rw nfsvers=4.1]"},
		{"none", "bind", "/srv/../srv/data", "bind /srv/data []"},
		{"", "rbind,ro,noexec", "/srv", "bind /srv [ro noexec]"},
		{"none", "o=bind", "/srv", "a volume with options needs a type, or o: bind"},
		{"none", "bind", "srv", `the device of a bind must be an absolute path, not "srv"`},
		{"none", "bind,size=1", "/srv", `volume option o: "size=1" is no option of a bind`},
		{"ext4", "noatime", "/dev/sdz1", "ext4 /dev/sdz1 [noatime]"},
		{"ext4", "", "dev/sdz1", `the device of ext4 must be an absolute path, not "dev/sdz1"`},
		{"ext4", "loop", "/image", `volume option o: "loop" is not allowed`},
		{"overlay", "lowerdir=/a,upperdir=/b,workdir=/c", "overlay", "overlay overlay [lowerdir=/a upperdir=/b workdir=/c]"},
		{"overlay", "lowerdir+=/a", "overlay", `volume option o: "lowerdir+=/a" is not allowed`},
		{"tmpfs", "source=/etc", "tmpfs", `volume option o: "source=/etc" is not allowed`},
		{"tmpfs", "subpath=../..", "tmpfs", `volume option o: "subpath=../.." is not allowed`},
		{"tmpfs", "rshared", "tmpfs", `volume option o: a volume has no propagation ("rshared")`},
		{"tmpfs", "size=1\x00,x", "tmpfs", `volume option o: "size=1\x00" is not allowed`},
		{"proc", "", "proc", `file system "proc" cannot be a volume`},
		{"cgroup2", "", "x", `file system "cgroup2" cannot be a volume`},
	} {
		s, err := ParseVolumeOptions(map[string]string{"type": c.kind, "o": c.o, "device": c.device})
		got := fmt.Sprintf("%s %s %v", s.Kind, s.Device, s.Options)
		if s.Bind != "" {
			got = fmt.Sprintf("bind %s %v", s.Bind, s.Options)
		}
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q %q %q:\n got %s\nwant %s", c.kind, c.o, c.device, got, c.want)
		}
	}
	if s, err := ParseVolumeOptions(nil); err != nil || !s.Plain() {
		t.Errorf("no options: %+v, %v", s, err)
	}
	if _, err := ParseVolumeOptions(map[string]string{"mountpoint": "/x"}); err == nil || !strings.Contains(err.Error(), `"mountpoint" is not known`) {
		t.Errorf("an unknown option: %v", err)
	}
}

func TestVolumeServerIsLookedUp(t *testing.T) {
	lookup := func(host string) ([]net.IP, error) {
		if host == "nas" {
			return []net.IP{net.IPv4(10, 0, 0, 9)}, nil
		}
		return nil, errors.New("no such host")
	}
	s := VolumeSource{Kind: "nfs", Device: ":/x", Options: []string{"soft", "addr=nas"}}
	got, err := s.resolved(lookup)
	if err != nil || got.Options[1] != "addr=10.0.0.9" || s.Options[1] != "addr=nas" {
		t.Errorf("got %v, %v; was %v", got, err, s)
	}
	s.Options[1] = "addr=gone"
	if _, err := s.resolved(lookup); err == nil || err.Error() != `cannot find the server "gone" of a volume: no such host` {
		t.Errorf("error %v", err)
	}
	s.Options[1] = "addr=fe80::1"
	if got, err := s.resolved(func(string) ([]net.IP, error) { return nil, errors.New("asked") }); err != nil || got.Options[1] != "addr=fe80::1" {
		t.Errorf("an address: %v, %v", got, err)
	}
}

func TestVolumeSourceMounts(t *testing.T) {
	ids := &IDRange{Base: 100000, Size: 65536}
	for _, c := range []struct {
		source VolumeSource
		m      UserMount
		want   string
	}{
		{VolumeSource{Kind: "nfs", Device: ":/x", Options: []string{"addr=10.0.0.9", "ro"}}, UserMount{},
			"nfs :/x nodev,addr=10.0.0.9,ro 0:100000"},
		{VolumeSource{Kind: "ext4", Device: "/dev/sdz1"}, UserMount{ReadOnly: true, Subpath: "a/b"},
			"ext4 /dev/sdz1 nodev,rro,subpath=a/b 0:100000"},
		{VolumeSource{Bind: "/srv", Options: []string{"noexec"}}, UserMount{ReadOnly: true, Subpath: "a"},
			"bind /srv rbind,ro,rro,rprivate,noexec,subpath=a 1000:100000"},
	} {
		tr := &translator{ids: ids, spec: &specs.Spec{Process: &specs.Process{}, Linux: &specs.Linux{}}, in: TranslateInput{
			Volumes: map[string]string{"v": "/unused"}, Filesystems: map[string]VolumeSource{"v": c.source},
			Owners: map[string]BindOwner{"/srv": {UID: 1000, GID: 1000}},
		}}
		c.m.Source, c.m.Target = "v", "/t"
		m, err := tr.namedMount(c.m)
		got := fmt.Sprintf("%s %s %s", m.Type, m.Source, strings.Join(m.Options, ","))
		if len(m.UIDMappings) > 0 {
			got += fmt.Sprintf(" %d:%d", m.UIDMappings[0].ContainerID, m.UIDMappings[0].HostID)
		}
		if err != nil || got != c.want {
			t.Errorf("%+v:\n got %s, %v\nwant %s", c.source, got, err, c.want)
		}
	}
}
