package scheduler

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
)

// VolumeSource is what driver_opts make of a volume, as Docker's driver `local` reads
// them; the zero value is a plain directory of ours.
type VolumeSource struct {
	// Bind is a directory of the host that is the volume.
	Bind string
	// Kind is a file system and Device where it lies, as for mount(8).
	Kind, Device string
	// Options are the words of mount(8).
	Options []string
}

// Plain reports whether the volume is a directory of ours.
func (s VolumeSource) Plain() bool { return s.Bind == "" && s.Kind == "" }

// shared reports whether containers see one another's files only through one mount
// on the host: every other file system is one wherever it is mounted.
func (s VolumeSource) shared() bool { return s.Kind == tmpfsKind }

const tmpfsKind = "tmpfs"

// volumeKinds are file systems that hold files of their own. Those that show the
// state of the kernel (proc, cgroup, …) would show the host's.
func volumeKinds() []string {
	return []string{tmpfsKind, "nfs", "nfs4", "cifs", "smb3", "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "vfat", "exfat",
		"ntfs3", "iso9660", "udf", "squashfs", "erofs", "9p", "virtiofs", "ceph", "overlay"}
}

// onDisk are the file systems whose device is a node of the host.
func onDisk(kind string) bool {
	return slices.Contains([]string{"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "vfat", "exfat", "ntfs3", "iso9660", "udf", "squashfs", "erofs"}, kind)
}

// optionError is a mistake in one of the driver's options.
type optionError struct {
	Key string // type, device, o, or another
	Err error
}

func (e *optionError) Error() string { return e.Err.Error() }
func (e *optionError) Unwrap() error { return e.Err }

func badOption(key, format string, args ...any) error {
	return &optionError{Key: key, Err: fmt.Errorf(format, args...)}
}

// ParseVolumeOptions reads the options of a volume of driver local. It looks at
// nothing on the machine. Errors: *optionError.
func ParseVolumeOptions(opts map[string]string) (VolumeSource, error) {
	if len(opts) == 0 {
		return VolumeSource{}, nil
	}
	for _, key := range slices.Sorted(maps.Keys(opts)) {
		if key != "type" && key != "o" && key != "device" {
			return VolumeSource{}, badOption(key, "volume option %q is not known: type, o and device are", key)
		}
	}
	kind, device := opts["type"], opts["device"]
	words, bind, err := mountWords(opts["o"])
	switch {
	case err != nil:
		return VolumeSource{}, err
	case device == "":
		return VolumeSource{}, badOption("device", "a volume with options needs a device")
	case strings.ContainsRune(device, 0):
		return VolumeSource{}, badOption("device", "a device has no zero byte")
	case bind && !filepath.IsAbs(device):
		return VolumeSource{}, badOption("device", "the device of a bind must be an absolute path, not %q", device)
	case bind:
		return VolumeSource{Bind: filepath.Clean(device), Options: words}, bindWords(words)
	case kind == "" || kind == "none":
		return VolumeSource{}, badOption("type", "a volume with options needs a type, or o: bind")
	case !slices.Contains(volumeKinds(), kind):
		return VolumeSource{}, badOption("type", "file system %q cannot be a volume", kind)
	case onDisk(kind) && !filepath.IsAbs(device):
		return VolumeSource{}, badOption("device", "the device of %s must be an absolute path, not %q", kind, device)
	}
	return VolumeSource{Kind: kind, Device: device, Options: words}, nil
}

// mountWords splits o. What only mount(8) and fstab read is dropped, as Docker's
// driver has the kernel ignore it; what would be more than an option of this file
// system is refused.
func mountWords(o string) (words []string, bind bool, err error) {
	for word := range strings.SplitSeq(o, ",") {
		word = strings.TrimSpace(word)
		key, _, _ := strings.Cut(word, "=")
		switch {
		case key == "bind", key == "rbind":
			bind = true
			fallthrough
		case word == "", strings.HasPrefix(key, "x-"),
			slices.Contains([]string{"defaults", "auto", "noauto", "nofail", "_netdev", "user", "nouser", "users", "owner", "group", "comment"}, key):
			continue
		case slices.Contains([]string{"source", "subpath", "lowerdir+", "upperdir+", "workdir+", "datadir+", "remount", "move", "loop", "offset", "sizelimit",
			"helper", "idmap", "ridmap", "tmpcopyup", "X-mount.idmap", "fd"}, key), strings.ContainsRune(word, 0):
			return nil, false, badOption("o", "volume option o: %q is not allowed", word)
		case slices.Contains([]string{"private", "shared", "slave", "unbindable"}, strings.TrimPrefix(key, "r")):
			return nil, false, badOption("o", "volume option o: a volume has no propagation (%q)", word)
		}
		words = append(words, word)
	}
	return words, bind, nil
}

// bindWords sees that a bind is asked only for what a bind can do.
func bindWords(words []string) error {
	known := []string{"ro", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec", "noatime", "nodiratime", "relatime", "strictatime", "nosymfollow"}
	for _, w := range words {
		if !slices.Contains(known, w) {
			return badOption("o", "volume option o: %q is no option of a bind", w)
		}
	}
	return nil
}

// resolved is s with the name of a server in addr= looked up, which the kernel
// cannot.
func (s VolumeSource) resolved(lookup func(host string) ([]net.IP, error)) (VolumeSource, error) {
	s.Options = slices.Clone(s.Options)
	for n, word := range s.Options {
		host, ok := strings.CutPrefix(word, "addr=")
		if !ok || s.Bind != "" || net.ParseIP(host) != nil {
			continue
		}
		ips, err := lookup(host)
		if err == nil && len(ips) == 0 {
			err = errors.New("it has no address")
		}
		if err != nil {
			return s, badOption("o", "cannot find the server %q of a volume: %w", host, err)
		}
		s.Options[n] = "addr=" + ips[0].String()
	}
	return s, nil
}
