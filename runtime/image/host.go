package image

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"stack/runtime"
)

// hostFormat changes whenever buildSkeleton would make something else of the same
// host.
const hostFormat = "1"

// hostTrees are the host's directories that rootfs:/ shows. On a merged-/usr host
// most are links into /usr.
var hostTrees = []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32", "opt", "usr"}

// hostEtc is what programs need of /etc to start, as patterns. Only what every user
// may read is shown, which leaves out keys and passwords; files that may hold
// credentials although everyone can read them (pip.conf, npmrc, gitconfig) are not
// listed.
var hostEtc = []string{
	"alternatives", "ca-certificates", "ca-certificates.conf", "crypto-policies", "pki/tls", "pki/ca-trust", "ssl/certs", "ssl/openssl.cnf",
	"ld.so.cache", "ld.so.conf", "ld.so.conf.d",
	"debian_version", "redhat-release", "fedora-release", "alpine-release", "os-release", "lsb-release",
	"host.conf", "gai.conf", "netconfig", "protocols", "rpc", "services", "ethertypes", "bindresvport.blacklist",
	"locale.alias", "locale.conf", "localtime", "timezone", "mime.types", "magic", "magic.mime", "papersize",
	"bash.bashrc", "inputrc", "profile", "shells", "terminfo",
	"fonts", "java-*", "perl", "python3", "python3.*", "ImageMagick-*", "OpenCL", "vulkan", "glvnd",
}

// hostDirs is the rest of the tree, empty.
var hostDirs = []struct {
	name string
	mode os.FileMode
}{
	{"dev", 0o755}, {"etc", 0o755}, {"home", 0o755}, {"media", 0o755}, {"mnt", 0o755}, {"proc", 0o555},
	{"root", 0o700}, {"run", 0o755}, {"run/lock", 0o777 | os.ModeSticky}, {"srv", 0o755}, {"sys", 0o555},
	{"tmp", 0o777 | os.ModeSticky}, {"var", 0o755}, {"var/backups", 0o755}, {"var/cache", 0o755}, {"var/lib", 0o755},
	{"var/lib/misc", 0o755}, {"var/local", 0o755}, {"var/log", 0o755}, {"var/mail", 0o775}, {"var/opt", 0o755},
	{"var/spool", 0o755}, {"var/tmp", 0o777 | os.ModeSticky},
}

// resolveHost makes rootfs:/: a skeleton layer, and overlays for the host's trees.
func (s *Store) resolveHost(ctx context.Context) (Image, error) {
	img := plainImage("/")
	trees, err := s.hostTrees()
	if err != nil {
		return Image{}, err
	}
	for _, t := range trees {
		if t.link == "" {
			img.Overlays = append(img.Overlays, runtime.Overlay{Target: "/" + t.name, Lower: filepath.Join(s.host, t.name)})
		}
	}
	dir, err := s.skeleton(ctx, trees)
	if err != nil {
		return Image{}, fmt.Errorf("cannot make the skeleton of the host's root: %w", err)
	}
	img.Layers = []string{dir}
	return img, nil
}

// hostTree is one of hostTrees as this host has it.
type hostTree struct {
	name string
	link string // its target if it is a link into another tree
}

// hostTrees lists the trees to show: not those that are absent, empty, or links to
// elsewhere.
func (s *Store) hostTrees() ([]hostTree, error) {
	own, err := filepath.EvalSymlinks(s.dir)
	if err != nil {
		return nil, err
	}
	var all []hostTree
	for _, name := range hostTrees {
		full := filepath.Join(s.host, name)
		info, err := os.Lstat(full)
		switch {
		case err != nil:
			continue
		case info.Mode()&os.ModeSymlink != 0:
			target, err := os.Readlink(full)
			if err != nil {
				return nil, err
			}
			if strings.HasPrefix(strings.TrimPrefix(filepath.Clean(target), "/"), "usr/") {
				all = append(all, hostTree{name: name, link: target})
			}
		case isEmpty(full):
		case own == full || strings.HasPrefix(own, full+"/"):
			if name == "usr" {
				return nil, fmt.Errorf("the state %s is below /usr, which rootfs:/ shows", own)
			}
			s.log.Warn("rootfs:/ leaves out a tree because the state is in it", "tree", "/"+name, "state", own)
		default:
			all = append(all, hostTree{name: name})
		}
	}
	return all, nil
}

// isEmpty is true also for what is no directory.
func isEmpty(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return true
	}
	defer f.Close()
	names, _ := f.Readdirnames(1)
	return len(names) == 0
}

// skeleton gives the layer for the host as it is now, made on first use.
func (s *Store) skeleton(ctx context.Context, trees []hostTree) (string, error) {
	files, err := listEtc(filepath.Join(s.host, "etc"))
	if err != nil {
		return "", err
	}
	name := fingerprint(s.host, trees, files)
	dir := filepath.Join(s.dir, "host", name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	lock, err := s.layerLock(ctx, "host")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	tmp, err := s.scratch("host")
	if err != nil {
		return "", err
	}
	if err := buildSkeleton(tmp, s.host, trees, files); err != nil {
		return "", err
	}
	return dir, os.Rename(tmp, dir)
}

// fingerprint identifies what the skeleton is made of.
func fingerprint(host string, trees []hostTree, files []etcFile) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %v\n", hostFormat, trees)
	for _, f := range files {
		fmt.Fprintf(&b, "%q %v %d %d %q\n", f.name, f.info.Mode(), f.info.Size(), f.info.ModTime().UnixNano(), f.link)
	}
	for _, name := range []string{"passwd", "group"} {
		data, _ := os.ReadFile(filepath.Join(host, "etc", name))
		fmt.Fprintf(&b, "%q\n", data)
	}
	return digest.FromString(b.String()).Encoded()
}

// buildSkeleton fills dir.
func buildSkeleton(dir, host string, trees []hostTree, files []etcFile) error {
	for _, d := range hostDirs {
		if err := makeDirectory(filepath.Join(dir, d.name), d.mode); err != nil {
			return err
		}
	}
	for link, target := range map[string]string{"var/run": "/run", "var/lock": "/run/lock", "etc/mtab": "../proc/self/mounts"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			return err
		}
	}
	for _, t := range trees {
		err := error(nil)
		if full := filepath.Join(dir, t.name); t.link != "" {
			err = os.Symlink(t.link, full)
		} else {
			err = makeDirectory(full, 0o755)
		}
		if err != nil {
			return err
		}
	}
	if err := copyEtc(filepath.Join(dir, "etc"), filepath.Join(host, "etc"), files); err != nil {
		return err
	}
	return writeAccounts(filepath.Join(dir, "etc"), filepath.Join(host, "etc"))
}

// makeDirectory sets the mode past the umask.
func makeDirectory(dir string, mode os.FileMode) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, mode)
}
