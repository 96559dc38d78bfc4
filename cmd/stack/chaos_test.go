package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const chaosPort = 18374

// chaosFile is one edit of the stack file: %s are the version, the scale of web and
// the limit of its memory; the last what else there is.
const chaosFile = `
services:
  web:
    image: rootfs:/
    restart: always
    scale: %[2]d
    mem_limit: %[3]dm
    stop_grace_period: 1s
    environment: {VERSION: "%[1]d"}
    command: ["perl", "/serve.pl"]
    configs: [{source: serve, target: /serve.pl}]
    ports: ["%[5]d:80"]
    x-stack: {probe: {http: 80/, interval: 500ms, timeout: 2s, retries: 3, start_interval: 100ms, start_period: 5s}}
  lines:
    image: rootfs:/
    restart: always
    scale: 2
    init: true
    stop_grace_period: 1s
    command: ["perl", "-e", "$$|=1; while (1) { print 'line ', ++$$i, chr(10); select undef, undef, undef, 0.02 }"]
  client:
    image: rootfs:/
    restart: always
    init: true
    command: ["sleep", "100000"]
    stop_grace_period: 1s
  done:
    image: rootfs:/
    command: ["true"]
  db:
    image: rootfs:/
    restart: always
    init: true
    command: ["sleep", "100000"]
    volumes: ["data:/data"]
    stop_grace_period: 1s
%[4]s
volumes: {data: {}}
configs:
  serve:
    content: |
      use IO::Socket::IP;
      $$SIG{TERM} = sub { exit 0 };
      my $$s = IO::Socket::IP->new(LocalHost => '::', LocalPort => 80, Listen => 500, ReuseAddr => 1, V6Only => 0, GetAddrInfoFlags => 0) or die $$@;
      while (1) { my $$c = $$s->accept or next; <$$c>; print $$c "HTTP/1.0 200 OK\r\n\r\nhello $$ENV{VERSION}\n"; close $$c }
`

const chaosExtra = `
  extra:
    image: rootfs:/
    restart: always
    init: true
    command: ["sleep", "100000"]
    stop_grace_period: 1s
    networks: [side, default]
networks: {side: {}}
`

// chaos does harm to one project at random, as its seed says.
type chaos struct {
	*project
	rand  *rand.Rand
	began time.Time

	mu   sync.Mutex
	done []string // what was done when
	// wanted is what the file says now.
	scale, version int
	extra          bool
	ups            sync.WaitGroup
	logs           map[string]string // by container, its log as it was seen last
}

// TestChaos kills and deletes at random for a while: containers, shim, controller,
// commands, links, bridges, rules; and edits the file. Then the stack is to become
// exactly what the file says, with nothing left over and no line of a log lost that
// had reached its file. STACK_CHAOS is how long, a minute if nothing is said;
// STACK_CHAOS_SEED repeats what was done, though not when.
func TestChaos(t *testing.T) {
	long := time.Minute
	if testing.Short() {
		long = 10 * time.Second
	}
	if text := os.Getenv("STACK_CHAOS"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("STACK_CHAOS_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("STACK_CHAOS=%v STACK_CHAOS_SEED=%d", long, seed)
	c := &chaos{project: newProject(t, ""), rand: rand.New(rand.NewPCG(seed, 0)), began: time.Now(), logs: map[string]string{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what was done:\n%s", strings.Join(c.done[max(0, len(c.done)-60):], "\n"))
			events, _ := c.try("events", "--since", "1h", "--until", "0s")
			t.Logf("events:\n%s", tail(events, 80))
		}
	})
	c.edit()
	c.run("up", "-d", "--wait")
	for end := time.Now().Add(long); time.Now().Before(end) && !t.Failed(); {
		c.harm()
		c.readLogs()
		time.Sleep(time.Duration(50+c.rand.IntN(400)) * time.Millisecond)
	}
	c.ups.Wait()
	c.converges()
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func (c *chaos) note(format string, a ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = append(c.done, fmt.Sprintf("%7.3f %s", time.Since(c.began).Seconds(), fmt.Sprintf(format, a...)))
}

// harm does one thing.
func (c *chaos) harm() {
	harms := []func(){
		c.killReplica, c.killReplica, c.killReplica, c.freezeReplica,
		func() { c.killOurs("controller") }, func() { c.killOurs("controller") },
		func() { c.killOurs("shim") }, func() { c.killOurs("shim", "controller") },
		c.deleteLink, c.deleteLink, c.deleteBridge, c.deleteRules, c.deleteInside, c.deleteVolume,
		c.edit, c.editAndUp, c.editAndUp, c.upAndKill,
	}
	harms[c.rand.IntN(len(harms))]()
}

// replica picks a running container.
func (c *chaos) replica() (name string, pid int) {
	pids := c.containers()
	var names []string
	for n, pid := range pids {
		if pid != 0 {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return "", 0
	}
	slices.Sort(names)
	name = names[c.rand.IntN(len(names))]
	return name, pids[name]
}

// ours reports whether a pid is still a process of the project's: state files are
// read while everything changes.
func (c *chaos) ours(pid int) bool {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return pid > 1 && strings.Contains(string(b), "/"+c.name+"/")
}

func (c *chaos) signal(what string, sig syscall.Signal) {
	name, pid := c.replica()
	if !c.ours(pid) {
		return
	}
	c.note("%s %s (%d): %v", what, name, pid, syscall.Kill(pid, sig))
}

func (c *chaos) killReplica()   { c.signal("kill -9", syscall.SIGKILL) }
func (c *chaos) freezeReplica() { c.signal("kill -STOP", syscall.SIGSTOP) }

// killOurs kills what there is of these kinds; after an earlier blow there may be
// nothing.
func (c *chaos) killOurs(kinds ...string) {
	for _, p := range processes(c.root) {
		if slices.Contains(kinds, p.kind()) {
			c.note("kill -9 the %s (%d): %v", p.kind(), p.pid, syscall.Kill(p.pid, syscall.SIGKILL))
		}
	}
}

// links are the project's links that are bridges, or that are not.
func (c *chaos) links(bridges bool) []string {
	var out []string
	for line := range strings.Lines(output("ip", "-d", "-o", "link")) {
		if !strings.Contains(line, "alias stack "+c.name+" ") || strings.Contains(line, " network ") != bridges {
			continue
		}
		if _, rest, ok := strings.Cut(line, ": "); ok {
			name, _, _ := strings.Cut(rest, ":")
			name, _, _ = strings.Cut(name, "@")
			out = append(out, name)
		}
	}
	return out
}

func (c *chaos) pick(from []string) string {
	if len(from) == 0 {
		return ""
	}
	return from[c.rand.IntN(len(from))]
}

func (c *chaos) do(args ...string) {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	c.note("%s: %s %v", strings.Join(args, " "), strings.TrimSpace(string(out)), err)
}

func (c *chaos) deleteLink() {
	if link := c.pick(c.links(false)); link != "" {
		c.do("ip", "link", "del", link)
	}
}

func (c *chaos) deleteBridge() {
	if link := c.pick(c.links(true)); link != "" {
		c.do("ip", "link", "del", link)
	}
}

func (c *chaos) deleteRules() {
	c.do("nft", c.pick([]string{"delete table inet", "flush table inet"}), "stack-"+c.name)
}

func (c *chaos) deleteInside() {
	if _, pid := c.replica(); c.ours(pid) {
		c.do("nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", pid), "nft", "flush", "ruleset")
	}
}

func (c *chaos) deleteVolume() {
	c.do("rm", "-rf", filepath.Join(c.root, "lib/volumes", c.name+"_data", c.pick([]string{"", "_data"})))
}

// edit changes the file; a stack that follows it does so at once.
func (c *chaos) edit() {
	c.scale, c.version, c.extra = 1+c.rand.IntN(4), c.version+c.rand.IntN(2), c.rand.IntN(2) == 0
	extra := ""
	if c.extra {
		extra = chaosExtra
	}
	c.write(fmt.Sprintf(chaosFile, c.version, c.scale, 64+c.rand.IntN(4)*16, extra, chaosPort))
	c.note("the file has %d web of version %d, extra %v", c.scale, c.version, c.extra)
}

func (c *chaos) editAndUp() {
	c.edit()
	c.up(false)
}

func (c *chaos) upAndKill() { c.up(true) }

// up runs the command beside whatever else happens, which may fail while everything else is harmed; or kills it.
func (c *chaos) up(kill bool) {
	args := []string{"up", "-d", "--remove-orphans", "-t", "1"}
	if c.rand.IntN(2) == 0 {
		args = append(args, "--live")
	}
	cmd := c.command(args...)
	after := time.Duration(c.rand.IntN(300)) * time.Millisecond
	c.note("%s", strings.Join(args, " "))
	c.ups.Go(func() {
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			c.note("up: %v", err)
			return
		}
		if kill {
			time.Sleep(after)
			_ = cmd.Process.Kill()
		}
		limit := time.AfterFunc(time.Minute, func() { // it waits for health in vain, perhaps: never for ever
			c.note("up takes more than a minute: %s", tail(out.String(), 5))
			_ = cmd.Process.Kill()
		})
		defer limit.Stop()
		c.note("up ended: %v %s", cmd.Wait(), tail(out.String(), 1))
	})
}

// readLogs sees that no log that is still there has become another.
func (c *chaos) readLogs() {
	paths, _ := filepath.Glob(filepath.Join(c.root, "lib/projects", c.name, "logs", "*"))
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // removed with its container
		}
		now := string(b)
		if before := c.logs[path]; !strings.HasPrefix(now, before) {
			c.t.Errorf("%s had %d bytes, now %d others: lines are lost", path, len(before), len(now))
		}
		c.logs[path] = now
	}
}
