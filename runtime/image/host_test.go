package image

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func ownerOf(info fs.FileInfo) (uid, gid uint32) {
	st := info.Sys().(*syscall.Stat_t)
	return st.Uid, st.Gid
}

// fakeHost is a machine with secrets, on which rootfs:/ may show few things.
func fakeHost(t *testing.T, s *Store) string {
	t.Helper()
	s.host = t.TempDir()
	for name, content := range map[string]string{
		"etc/passwd": "root:x:0:0:The Admin,Room 1:/root:/bin/zsh\nwww-data:x:33:33:www:/var/www:/bin/bash\nann:x:1000:1000:Ann:/home/ann:/bin/bash\ndeploy:x:998:998::/home/deploy:/bin/bash\nbackdoor:x:0:0::/root:/bin/sh\n",
		"etc/group":  "root:x:0:ann\nwww-data:x:33:ann,deploy\nann:x:1000:\ndeploy:x:998:\n",
		"etc/shadow": "SECRET", "etc/gshadow": "SECRET", "etc/ssh/ssh_host_key": "SECRET", "etc/npmrc": "SECRET", "etc/sudoers": "SECRET",
		"etc/ssl/private/key.pem": "SECRET", "etc/ssl/certs/ca.crt": "cert", "etc/ssl/certs/private.pem": "SECRET",
		"etc/ld.so.cache": "cache", "etc/nsswitch.conf": "hosts: mymachines", "etc/services": "services",
		"etc/python3.9/sitecustomize.py": "python", "etc/machine-id": "SECRET", "etc/ld.so.conf.d/x.conf": "conf",
		"usr/bin/true": "true", "usr/lib/os-release": "os", "root/.ssh/id": "SECRET", "home/ann/x": "SECRET", "srv/x": "SECRET", "var/lib/x": "SECRET",
		"lib64/ld.so": "ld", "tmp/x": "SECRET", "run/x": "SECRET",
	} {
		full := filepath.Join(s.host, name)
		os.MkdirAll(filepath.Dir(full), 0o755)
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"bin": "usr/bin", "lib": "/usr/lib", "sbin": "/root", "etc/alternatives/vi": "/usr/bin/true", "etc/localtime": "/usr/share/zoneinfo/UTC"} {
		os.MkdirAll(filepath.Dir(filepath.Join(s.host, name)), 0o755)
		os.Symlink(target, filepath.Join(s.host, name))
	}
	os.Mkdir(filepath.Join(s.host, "opt"), 0o755)
	os.Chmod(filepath.Join(s.host, "etc/ssl/certs/private.pem"), 0o640)
	return s.host
}

func resolveHost(t *testing.T, s *Store) Image {
	t.Helper()
	img, err := s.Resolve(context.Background(), "rootfs:/", "")
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestHostShowsNoSecrets(t *testing.T) {
	s := testStore(t)
	host := fakeHost(t, s)
	img := resolveHost(t, s)
	var got []string
	for _, o := range img.Overlays {
		got = append(got, o.Target+"="+strings.TrimPrefix(o.Lower, host))
	}
	if want := "/lib64=/lib64 /usr=/usr"; strings.Join(got, " ") != want {
		t.Errorf("overlays %v, want %s", got, want)
	}
	top := img.Layers[0]
	seen := map[string]bool{}
	filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			t.Error(err)
			return nil
		}
		rel, _ := filepath.Rel(top, name)
		seen[rel] = true
		if d.Type().IsRegular() {
			if data, _ := os.ReadFile(name); strings.Contains(string(data), "SECRET") {
				t.Errorf("%s is shown", rel)
			}
		}
		return nil
	})
	for _, name := range []string{"sbin", "opt", "etc/shadow", "etc/machine-id", "etc/ssl/private", "root/.ssh", "home/ann"} {
		if seen[name] {
			t.Errorf("%s is shown", name)
		}
	}
	for _, name := range []string{"bin", "lib", "lib64", "usr", "proc", "sys", "dev", "var/lib", "etc/alternatives/vi", "etc/localtime", "etc/ssl/certs/ca.crt", "etc/ld.so.cache", "etc/ld.so.conf.d/x.conf", "etc/python3.9/sitecustomize.py", "etc/resolv.conf", "etc/hosts", "etc/hostname"} {
		if !seen[name] {
			t.Errorf("%s is missing", name)
		}
	}
	for name, want := range map[string]string{
		"etc/passwd":        "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\ndeploy:x:998:998::/nonexistent:/usr/sbin/nologin\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
		"etc/group":         "root:x:0:\nwww-data:x:33:deploy\ndeploy:x:998:\nnogroup:x:65534:\n",
		"etc/nsswitch.conf": etcStatic["nsswitch.conf"],
	} {
		if data, _ := os.ReadFile(filepath.Join(top, name)); string(data) != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, data, want)
		}
	}
	for name, want := range map[string]os.FileMode{"tmp": os.ModeDir | os.ModeSticky | 0o777, "root": os.ModeDir | 0o700, "etc": os.ModeDir | 0o755, "etc/ssl": os.ModeDir | 0o755, "etc/passwd": 0o644, "var/tmp": os.ModeDir | os.ModeSticky | 0o777} {
		if info, err := os.Stat(filepath.Join(top, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v %v, want %v", name, info.Mode(), err, want)
		}
	}
}

// TestHostRefresh: the skeleton is made once, and again when the host changed; the
// digest stays, so that an upgrade of the host recreates no container.
func TestHostRefresh(t *testing.T) {
	s := testStore(t)
	host := fakeHost(t, s)
	first := resolveHost(t, s)
	if again := resolveHost(t, s); again.Layers[0] != first.Layers[0] {
		t.Error("the skeleton was made twice")
	}
	old := syscall.Umask(0o077)
	os.WriteFile(filepath.Join(host, "etc/ld.so.cache"), []byte("newer cache"), 0o644)
	next := resolveHost(t, s)
	syscall.Umask(old)
	if next.Layers[0] == first.Layers[0] || next.Digest != first.Digest {
		t.Errorf("%+v after %+v", next, first)
	}
	if info, _ := os.Stat(filepath.Join(next.Layers[0], "etc/ssl")); info.Mode().Perm() != 0o755 {
		t.Errorf("the umask shows: %v", info.Mode())
	}
	if _, err := s.Prune(context.Background(), using(Use{Layers: next.Layers}), func(Record) bool { return true }); err != nil || isDir(first.Layers[0]) || !isDir(next.Layers[0]) {
		t.Errorf("prune: %v", err)
	}
}

func TestHostLeavesOutState(t *testing.T) {
	host := t.TempDir()
	for _, name := range []string{"usr/bin", "opt/stack", "opt/other", "etc"} {
		os.MkdirAll(filepath.Join(host, name), 0o755)
	}
	s, err := Open(filepath.Join(host, "opt/stack/images"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.host = host
	if img := resolveHost(t, s); len(img.Overlays) != 1 || img.Overlays[0].Target != "/usr" {
		t.Errorf("overlays %v", img.Overlays)
	}
	s, err = Open(filepath.Join(host, "usr/state/images"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.host = host
	if _, err := s.Resolve(context.Background(), "rootfs:/", ""); err == nil {
		t.Error("state below /usr is shown")
	}
}

// TestRealHost looks at this machine's own skeleton.
func TestRealHost(t *testing.T) {
	s := testStore(t)
	img := resolveHost(t, s)
	u, home, err := LookupUser(img, "", nil)
	if err != nil || u.UID != 0 || home != "/root" {
		t.Errorf("%v %q %v", u, home, err)
	}
	if ok, err := s.CopyOut(context.Background(), img, "/var", t.TempDir()); !ok || err != nil {
		t.Error(ok, err)
	}
	v, err := openView(img)
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	if p, err := v.resolve("/bin/sh"); err != nil || p.isDir() {
		t.Errorf("/bin/sh: %v", err)
	}
	for _, name := range []string{"/etc/shadow", "/etc/gshadow", "/etc/ssh", "/root/.ssh", "/var/lib/dpkg"} {
		if _, err := v.resolve(name); err == nil {
			t.Errorf("%s is shown", name)
		}
	}
}
