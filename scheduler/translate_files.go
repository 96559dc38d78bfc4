package scheduler

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/netns"
	"stack/runtime"
)

const hostsFile = "/etc/hosts"

// files are the three that Docker gives a container, also inside a volume at
// /etc. Where the user mounts one of them, the user's is used. With a read-only
// root they are read-only too.
func (t *translator) files() error {
	hosts, err := t.hosts()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		target  string
		content []byte
	}{
		{"/etc/hostname", []byte(t.out.Hostname + "\n")},
		{hostsFile, hosts},
		{"/etc/resolv.conf", t.in.ResolvConf},
	} {
		mounted := func(m UserMount) bool { return m.Target == f.target }
		if !slices.ContainsFunc(t.out.Mounts, mounted) {
			t.out.Files = append(t.out.Files, runtime.File{Target: f.target, Content: f.content, Mode: 0o644, Writable: !t.s.ReadOnly})
		}
	}
	return nil
}

func (t *translator) hosts() ([]byte, error) {
	var b bytes.Buffer
	if t.s.NetworkMode == hostMode && len(t.in.Hosts) > 0 {
		b.Write(t.in.Hosts)
		if !bytes.HasSuffix(t.in.Hosts, []byte("\n")) {
			b.WriteByte('\n')
		}
	} else {
		b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" +
			"fe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n")
	}
	for _, name := range slices.Sorted(maps.Keys(t.s.ExtraHosts)) {
		for _, ip := range t.s.ExtraHosts[name] {
			if ip == "host-gateway" {
				ip = t.in.HostGateway
			}
			if _, err := netip.ParseAddr(ip); err != nil {
				return nil, fmt.Errorf("extra_hosts: %s has no usable address (%q)", name, ip)
			}
			fmt.Fprintf(&b, "%s\t%s\n", ip, name)
		}
	}
	return b.Bytes(), nil
}

// ownHosts are the lines of /etc/hosts for a container's own addresses, which are
// known once it is attached.
func ownHosts(leases []netns.Lease, hostname, domain string) []byte {
	names := hostname
	if domain != "" {
		names = hostname + "." + domain + " " + hostname
	}
	var b bytes.Buffer
	for _, l := range leases {
		for _, ip := range []netip.Addr{l.IPv4, l.IPv6} {
			if ip.IsValid() {
				fmt.Fprintf(&b, "%s\t%s\n", ip, names)
			}
		}
	}
	return b.Bytes()
}

// objects places secrets at /run/secrets/NAME and configs at /NAME.
func (t *translator) objects() error {
	files, err := objectFiles(t.s, t.in.Secrets, t.in.Configs, t.ids)
	t.out.Files = append(t.out.Files, files...)
	return err
}

// objectFiles are the secrets and configs of a service; ids are those of its user
// namespace, if it has one of its own.
func objectFiles(s types.ServiceConfig, secrets, configs map[string][]byte, ids *IDRange) ([]runtime.File, error) {
	var out []runtime.File
	for _, r := range s.Secrets {
		f, err := objectFile(types.FileReferenceConfig(r), "/run/secrets", secrets, ids)
		if err != nil {
			return nil, fmt.Errorf("secret %q: %w", r.Source, err)
		}
		out = append(out, f)
	}
	for _, r := range s.Configs {
		f, err := objectFile(types.FileReferenceConfig(r), "/", configs, ids)
		if err != nil {
			return nil, fmt.Errorf("config %q: %w", r.Source, err)
		}
		out = append(out, f)
	}
	return out, nil
}

func objectFile(r types.FileReferenceConfig, dir string, contents map[string][]byte, ids *IDRange) (runtime.File, error) {
	content, ok := contents[r.Source]
	if !ok {
		return runtime.File{}, errors.New("it has no content")
	}
	target := cmp.Or(r.Target, r.Source)
	if !path.IsAbs(target) {
		target = path.Join(dir, target)
	}
	if target = path.Clean(target); target == "/" {
		return runtime.File{}, errors.New("its target is /")
	}
	f := runtime.File{Target: target, Content: content, Mode: 0o444}
	if r.Mode != nil {
		f.Mode = os.FileMode(*r.Mode) & os.ModePerm
	}
	var err error
	if f.UID, err = objectID(r.UID, ids); err != nil {
		return f, err
	}
	f.GID, err = objectID(r.GID, ids)
	return f, err
}

func objectID(text string, ids *IDRange) (uint32, error) {
	if strings.TrimSpace(text) == "" {
		return 0, nil
	}
	id, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("id %q is not a number", text)
	}
	if ids != nil && uint32(id) >= ids.Size {
		return 0, fmt.Errorf("id %d lies outside the container's user namespace of %d ids", id, ids.Size)
	}
	return uint32(id), nil
}
