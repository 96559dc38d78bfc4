package image

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stack/runtime/image/registry/registrytest"
)

// docker is a dockerd of the test's own, without networks or rules.
type docker struct {
	t      *testing.T
	socket string
}

func startDocker(t *testing.T) docker {
	t.Helper()
	registrytest.Need(t, "dockerd", "docker")
	dir, err := os.MkdirTemp("", "st-docker-") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Unmount(dir+"/exec/netns/default", syscall.MNT_DETACH) // dockerd leaves it mounted
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("dockerd", "--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid",
		"-H", "unix://"+dir+"/sock", "--storage-driver", "vfs", "--bridge=none", "--iptables=false", "--ip6tables=false")
	cmd.Env = append(os.Environ(), "HOME="+dir)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		said, _ := os.ReadFile(log.Name())
		if strings.Contains(string(said), "API listen on") {
			return docker{t, "unix://" + dir + "/sock"}
		}
		if time.Now().After(deadline) || cmd.Process.Signal(syscall.Signal(0)) != nil {
			t.Fatalf("dockerd does not start:\n%s", said)
		}
	}
}

func (d docker) run(args ...string) string {
	d.t.Helper()
	return strings.TrimSpace(registrytest.Run(d.t, "docker", append([]string{"-H", d.socket}, args...)...))
}

// TestDocker: `docker save | stack image load`, the way back, and each pulls what
// the other pushed. The image keeps its ID everywhere.
func TestDocker(t *testing.T) {
	w := newWorkshop(t)
	ctx := context.Background()
	s, d := testStore(t), startDocker(t)
	want := w.unpacked(w.dir + "/made:v1")
	w.skopeo("oci:"+w.dir+"/made:v1", "docker-archive:"+w.dir+"/made.tar:me/app:v1")
	d.run("load", "-i", w.dir+"/made.tar")
	id := d.run("image", "inspect", "-f", "{{.Id}}", "me/app:v1")

	d.run("save", "-o", w.dir+"/saved.tar", "me/app:v1")
	recs := w.load(s, w.dir+"/saved.tar")
	if len(recs) != 1 || recs[0].Image.Digest != id || Familiar(recs[0].Image.Ref) != "me/app:v1" {
		t.Fatalf("%+v, want %s", recs, id)
	}
	w.same("docker save", w.shown(recs[0].Image), want)

	d.run("rmi", "-f", "me/app:v1")
	f, err := os.Create(w.dir + "/ours.tar")
	if err == nil {
		err = s.Save(ctx, []string{"me/app:v1"}, f)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	d.run("load", "-i", f.Name())
	if got := d.run("image", "inspect", "-f", "{{.Id}}", "me/app:v1"); got != id {
		t.Errorf("docker load gives %s, want %s", got, id)
	}

	ours, theirs := w.addr+"/from/stack:v1", w.addr+"/from/docker:v1"
	if err := s.Tag(ctx, "me/app:v1", ours); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Push(ctx, w.client, ours, nil); err != nil {
		t.Fatal(err)
	}
	d.run("rmi", "-f", "me/app:v1")
	d.run("pull", "-q", ours)
	if got := d.run("image", "inspect", "-f", "{{.Id}}", ours); got != id {
		t.Errorf("docker pull gives %s, want %s", got, id)
	}
	d.run("tag", ours, theirs)
	d.run("push", "-q", theirs)
	rec := mustPull(t, testStore(t), w.client, theirs)
	if rec.Image.Digest != id {
		t.Errorf("we pull %s, want %s", rec.Image.Digest, id)
	}
	w.same("docker push", w.shown(rec.Image), want)
}
