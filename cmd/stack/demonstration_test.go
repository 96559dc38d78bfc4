package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stack/scheduler"
)

// demonstration is the stack of TestDemonstration: a service of three replicas on a
// published port, and a container that can write the project's folder.
const demonstration = `
services:
  web:
    image: demonstration:1
    scale: 3
    restart: always
    mem_limit: 64m
    ports: ["18265:8080"]
    stop_grace_period: 5s
    x-stack:
      probe: {http: 8080/healthz, interval: 100ms, timeout: 200ms, retries: 2, start_interval: 50ms}
    deploy:
      update_config: {parallelism: 1, order: start-first, failure_action: rollback}
  editor:
    image: rootfs:/
    init: true
    command: [sleep, "1000"]
    volumes: [".:/project"]
`

// demo is a run of it.
type demo struct {
	*project
	load *traffic
	text string // of the stack file
}

// TestDemonstration is what people expect of a controller: under a constant load,
// edits of the stack file, faults and attacks, and not one failed request.
func TestDemonstration(t *testing.T) {
	p := newProject(t, demonstration)
	d := &demo{project: p, text: demonstration}
	d.images(map[string]string{"1": "", "2": "", "3": "", "sick": "SICK=1"})
	d.run("up", "-d", "--live", "--wait")
	d.load = startTraffic("127.0.0.1:18265")
	defer d.load.end(t)
	for _, step := range []struct {
		name string
		do   func(t *testing.T)
	}{
		{"1 a new image", d.newImage},
		{"2 a new limit", d.newLimit},
		{"3 a broken file", d.brokenFile},
		{"4 a frozen replica", d.frozen},
		{"5 the controller dies in a rollout", d.controllerDies},
		{"6 an image that never gets healthy", d.sickImage},
		{"7 more and fewer", d.scale},
		{"8 taken away on the host", d.takenAway},
		{"9 a container rewrites its cage", d.rewritten},
	} {
		if !t.Run(step.name, step.do) {
			t.Logf("events:\n%s", d.run("events", "--since", "30s", "--until", "0s"))
			return
		}
	}
}

// images makes images of the server, which differ in their environment.
func (d *demo) images(versions map[string]string) {
	d.t.Helper()
	server := filepath.Join(d.t.TempDir(), "server")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", server, "./testdata/demonstration")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		d.t.Fatalf("cannot build the server: %v\n%s", err, out)
	}
	program, err := os.ReadFile(server)
	if err != nil {
		d.t.Fatal(err)
	}
	var rootfs bytes.Buffer
	w := tar.NewWriter(&rootfs)
	err = errors.Join(w.WriteHeader(&tar.Header{Name: "server", Mode: 0o755, Size: int64(len(program))}))
	if _, more := w.Write(program); err != nil || more != nil {
		d.t.Fatal(err, more)
	}
	if err := w.Close(); err != nil {
		d.t.Fatal(err)
	}
	for _, version := range slices.Sorted(maps.Keys(versions)) {
		args := []string{"image", "import", "-c", `CMD ["/server"]`, "-c", "ENV VERSION=" + version, "-", "demonstration:" + version}
		if env := versions[version]; env != "" {
			args = slices.Insert(args, 2, "-c", "ENV "+env)
		}
		c := d.command(args...)
		c.Stdin = bytes.NewReader(rootfs.Bytes())
		if out, err := c.CombinedOutput(); err != nil {
			d.t.Fatalf("cannot make image %s: %v\n%s", version, err, out)
		}
	}
}

// edit replaces text of the stack file, as an editor saves it.
func (d *demo) edit(old, new string) {
	d.t.Helper()
	if !strings.Contains(d.text, old) {
		d.t.Fatalf("the stack file has no %q", old)
	}
	d.text = strings.Replace(d.text, old, new, 1)
	path := filepath.Join(d.dir, "stack.yaml")
	if err := errors.Join(os.WriteFile(path+"~", []byte(d.text), 0o600), os.Rename(path+"~", path)); err != nil {
		d.t.Fatal(err)
	}
}

// history is the recorded one of web.
func (d *demo) history() (h scheduler.History) {
	d.read(filepath.Join(d.root, "lib/projects", d.name, "revisions/web.json"), &h)
	return h
}

// webs are the replicas of web.
func (d *demo) webs() (out []*scheduler.Instance) {
	d.t.Helper()
	s := &scheduler.Store{Layout: scheduler.NewLayout(func(string) string { return d.root }, 0), Project: d.name}
	all, err := s.Current(time.Now())
	if err != nil {
		d.t.Fatal(err)
	}
	for _, i := range all {
		if i.Service == "web" {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b *scheduler.Instance) int { return a.Number - b.Number })
	return out
}

// serving tells why not n healthy replicas of an image run, and nothing else.
func (d *demo) serving(n int, image string) error {
	list := d.webs()
	if len(list) != n {
		return fmt.Errorf("%d replicas, want %d", len(list), n)
	}
	for number, i := range list {
		if i.Image != image || i.Health != scheduler.HealthHealthy || i.State != scheduler.StateRunning || i.Name != fmt.Sprintf("%s-web-%d", d.name, number+1) {
			return fmt.Errorf("%s of %s is %s, %s; want %s", i.Name, i.Image, i.State, i.Health, image)
		}
	}
	return nil
}

// reaches waits until an update to an image is over.
func (d *demo) reaches(image string, state scheduler.UpdateState) {
	d.t.Helper()
	took := d.await("an update to "+image, func() error {
		if h := d.history(); h.Update != state || h.Revision(h.Current).Image != image {
			return fmt.Errorf("revision %d is %s", h.Current, h.Update)
		}
		return d.serving(3, image)
	})
	d.t.Logf("%s serves after %v", image, took.Round(10*time.Millisecond))
}

func (d *demo) newImage(t *testing.T) {
	d.edit("demonstration:1", "demonstration:2")
	d.reaches("demonstration:2", scheduler.UpdateCompleted)
	if got := d.load.now(); got != "2" {
		t.Errorf("version %s answers, want 2", got)
	}
	d.load.flawless(t, "update")
}

func (d *demo) newLimit(t *testing.T) {
	before := d.containers()
	d.edit("64m", "96m")
	d.await("the new limit", func() error {
		for _, n := range []string{"1", "2", "3"} {
			if got := d.limit(before[d.name+"-web-"+n]); got != 96<<20 {
				return fmt.Errorf("replica %s has %d", n, got)
			}
		}
		return nil
	})
	if after := d.containers(); !maps.Equal(before, after) {
		t.Errorf("the processes were %v and are %v", before, after)
	}
	d.load.flawless(t, "limit")
}

// limit is the kernel's memory limit of a process, in bytes.
func (d *demo) limit(pid int) (n int64) {
	groups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	for line := range strings.Lines(string(groups)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		path := filepath.Join("/sys/fs/cgroup/memory", part[2], "memory.limit_in_bytes")
		if part[1] == "" {
			path = filepath.Join("/sys/fs/cgroup", part[2], "memory.max")
		}
		if text, err := os.ReadFile(path); err == nil && (part[1] == "memory" || part[1] == "") {
			fmt.Sscan(string(text), &n)
		}
	}
	return n
}

func (d *demo) brokenFile(t *testing.T) {
	before, text := d.containers(), d.text
	begun := time.Now()
	d.edit("scale: 3", "scalee: 3")
	d.told(begun, "reload_rejected", "stack.yaml:5:", "scalee", "^")
	if after := d.containers(); !maps.Equal(before, after) {
		t.Errorf("the processes were %v and are %v", before, after)
	}
	d.edit(d.text, text)
	d.load.flawless(t, "broken file")
}

// told waits for an event of the stack that has these texts.
func (d *demo) told(since time.Time, action string, texts ...string) {
	d.t.Helper()
	d.await("event "+action, func() error {
		out := d.run("events", "--since", since.Format(time.RFC3339Nano), "--until", "0s", "--json")
		for line := range strings.Lines(out) {
			if strings.Contains(line, `"action":"`+action+`"`) && !slices.ContainsFunc(texts, func(s string) bool { return !strings.Contains(line, s) }) {
				return nil
			}
		}
		return fmt.Errorf("told is only:\n%s", out)
	})
}

func (d *demo) frozen(t *testing.T) {
	name := d.name + "-web-2"
	before := d.containers()
	if err := syscall.Kill(before[name], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	took := d.await("a restart of the frozen replica", func() error {
		if d.containers()[name] == before[name] {
			return errors.New("the process is the same")
		}
		return d.serving(3, "demonstration:2")
	})
	t.Logf("restarted after %v", took.Round(10*time.Millisecond))
	d.load.flawless(t, "frozen")
}

func (d *demo) controllerDies(t *testing.T) {
	d.edit("demonstration:2", "demonstration:3")
	d.await("a rollout", func() error {
		if !slices.ContainsFunc(d.webs(), func(i *scheduler.Instance) bool { return strings.HasSuffix(i.Name, "-2-next") }) {
			return errors.New("the second replica does not make way")
		}
		return nil
	})
	d.kill("controller")
	d.reaches("demonstration:3", scheduler.UpdateCompleted)
	d.load.flawless(t, "controller")
}

func (d *demo) sickImage(t *testing.T) {
	text, begun := d.text, time.Now()
	d.edit("demonstration:3", "demonstration:sick")
	d.reaches("demonstration:3", scheduler.RollbackCompleted)
	if got := d.load.now(); got != "3" {
		t.Errorf("version %s answers, want 3", got)
	}
	d.told(begun, "update", "rollback_started", "web-1-next is unhealthy: ")
	d.edit(d.text, text)
	d.load.flawless(t, "rollback")
}

func (d *demo) scale(t *testing.T) {
	d.edit("scale: 3", "scale: 10")
	d.await("ten replicas", func() error { return d.serving(10, "demonstration:3") })
	d.edit("scale: 10", "scale: 2")
	d.await("two replicas", func() error { return d.serving(2, "demonstration:3") })
	d.edit("scale: 2", "scale: 3")
	d.await("three replicas", func() error { return d.serving(3, "demonstration:3") })
	d.load.flawless(t, "scale")
}

// takenAway removes a veth, a rule and the bridge; each is back within a second, and
// only then may requests fail.
func (d *demo) takenAway(t *testing.T) {
	link := func(what string) string {
		for line := range strings.Lines(output("ip", "-o", "-d", "link")) {
			if strings.Contains(line, "alias stack "+d.name+" ") && strings.Contains(line, what) {
				return strings.SplitN(strings.Fields(line)[1], "@", 2)[0]
			}
		}
		t.Fatalf("no link with %q:\n%s", what, output("ip", "-d", "link"))
		return ""
	}
	for _, c := range []struct {
		name string
		args []string
	}{
		{"a veth", []string{"ip", "link", "del", strings.TrimSuffix(link(d.webs()[0].ID), ":")}},
		{"a rule", []string{"nft", "flush", "chain", "inet", "stack-" + d.name, "prerouting"}},
		{"the bridge", []string{"ip", "link", "del", strings.TrimSuffix(link(" network "), ":")}},
	} {
		begun := time.Now()
		if out, err := exec.Command(c.args[0], c.args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s\n%s", c.args, err, out, output("nft", "list", "ruleset"))
		}
		time.Sleep(time.Second)
		again := time.Now()
		if got := d.load.now(); got != "3" {
			t.Errorf("%s: version %q answers, want 3", c.name, got)
		}
		if err := d.serving(3, "demonstration:3"); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		d.load.flawless(t, c.name, begun.Add(-period), again) // also what was under way
	}
}

// rewritten has a container write itself a way out.
func (d *demo) rewritten(t *testing.T) {
	before, begun := d.containers(), time.Now()
	d.run("exec", "-T", "editor", "sh", "-c", `sed -i 's|volumes: .*|privileged: true\n    volumes: [".:/project", "/:/host"]|' /project/stack.yaml`)
	d.told(begun, "reload_waits", "privileged would be on", "/host")
	if after := d.containers(); !maps.Equal(before, after) {
		t.Errorf("the processes were %v and are %v", before, after)
	}
	if out, err := d.try("exec", "-T", "editor", "ls", "/host"); err == nil {
		t.Errorf("the container sees the host: %s", out)
	}
	d.load.flawless(t, "rewritten")
}
