package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// converges brings the file up once more and looks at everything that can be seen of
// the stack.
func (c *chaos) converges() {
	c.t.Helper()
	c.note("all is over")
	for range 2 {
		c.run("up", "-d", "--remove-orphans", "--wait", "-t", "1")
		c.note("up again")
		c.awaitThaw()
	}
	c.checkContainers()
	c.checkServing()
	c.checkNothingMore()
	c.readLogs()
	c.checkCounting()
}

// awaitThaw waits until the probe has found a web that stands still since a moment ago:
// for some seconds it is still taken for healthy.
func (c *chaos) awaitThaw() {
	c.t.Helper()
	c.await("end of the frozen", func() error {
		for name, pid := range c.containers() {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // gone meanwhile
			if strings.Contains(name, "-web-") && strings.Contains(string(b), "\nState:\tT") {
				return errors.New(name + " stands still")
			}
		}
		return nil
	})
}

// names are the containers that the file wants.
func (c *chaos) names() []string {
	out := []string{"client-1", "db-1", "done-1", "lines-1", "lines-2"}
	for n := range c.scale {
		out = append(out, fmt.Sprint("web-", n+1))
	}
	if c.extra {
		out = append(out, "extra-1")
	}
	for n := range out {
		out[n] = c.name + "-" + out[n]
	}
	slices.Sort(out)
	return out
}

var numbered = regexp.MustCompile(`-web-\d+$`)

func (c *chaos) checkContainers() {
	c.t.Helper()
	states := map[string]string{}
	for line := range strings.Lines(c.run("ps", "-a", "--format", "json")) {
		var row struct {
			Name, State, Health string
			ExitCode            int
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			c.t.Fatal(err)
		}
		states[row.Name] = fmt.Sprint(row.State, " ", row.Health, " ", row.ExitCode)
	}
	// As with Compose, who is up to date stays when fewer are wanted, whatever its number.
	webs := 0
	for _, name := range slices.Sorted(maps.Keys(states)) {
		if numbered.MatchString(name) {
			webs++
			state := states[name]
			delete(states, name)
			states[fmt.Sprint(c.name, "-web-", webs)] = state
		}
	}
	want := map[string]string{}
	for _, name := range c.names() {
		want[name] = "running  0"
		if strings.Contains(name, "-web-") {
			want[name] = "running healthy 0"
		}
	}
	want[c.name+"-done-1"] = "exited  0"
	if !maps.Equal(states, want) {
		c.t.Errorf("containers are %v, want %v", states, want)
	}
	plan, _ := c.try("plan") // 2: there is something
	for line := range strings.Lines(plan) {
		if !strings.HasPrefix(line, "start "+c.name+"-done-1:") { // as Compose starts it again
			c.t.Errorf("there is still something to do: %s", line)
		}
	}
}

func (c *chaos) checkServing() {
	c.t.Helper()
	for range 20 {
		for _, host := range []string{"127.0.0.1", "[::1]"} {
			body, err := fetch(fmt.Sprintf("%s:%d/", host, chaosPort))
			if want := fmt.Sprintf("hello %d\n", c.version); err != nil || body != want {
				c.t.Fatalf("%s answers %q, %v, want %q", host, body, err, want)
			}
		}
	}
	const get = `use IO::Socket::IP; my $s = IO::Socket::IP->new(PeerHost => 'web', PeerPort => 80, Timeout => 5) or die "$@\n"; print $s "GET / HTTP/1.0\r\n\r\n"; my @l = <$s>; print $l[-1]`
	c.run("exec", "-T", "db", "sh", "-c", "echo here > /data/file")
	if b, err := os.ReadFile(filepath.Join(c.root, "lib/volumes", c.name+"_data/_data/file")); string(b) != "here\n" {
		c.t.Errorf("what is written to the volume is %q, %v", b, err)
	}
	for range 5 {
		if got := c.run("exec", "-T", "client", "perl", "-e", get); got != fmt.Sprintf("hello %d\n", c.version) {
			c.t.Errorf("inside, web answers %q", got)
		}
	}
}

// checkNothingMore counts what is on the host for the containers that run.
func (c *chaos) checkNothingMore() {
	c.t.Helper()
	running := len(c.names()) - 1
	links := running
	if c.extra {
		links++
	}
	count := func(what string, want int, got []string) {
		if len(got) != want {
			c.t.Errorf("%d %s, want %d: %v", len(got), what, want, got)
		}
	}
	count("links", links, c.links(false))
	count("bridges", links-running+1, c.links(true))
	lib, run := filepath.Join(c.root, "lib/projects", c.name), filepath.Join(c.root, "run", c.name)
	count("records", running+1, glob(filepath.Join(lib, "instances", "*.json")))
	count("layers", running+1, glob(filepath.Join(lib, "layers", "*")))
	count("logs", running+1, glob(filepath.Join(lib, "logs", "*")))
	count("states", running, glob(filepath.Join(run, "containers", "*")))
	for _, pattern := range []string{"/sys/fs/cgroup/memory/stack/", "/sys/fs/cgroup/stack/"} {
		if _, err := os.Stat(pattern + c.name); err == nil {
			count("cgroups", running+1, dirs(pattern+c.name+"/*")) // and the shim's
		}
	}
	count("processes of ours", 2, func() (out []string) {
		for _, p := range processes(c.root) {
			out = append(out, strings.Join(p.args, " "))
		}
		return out
	}())
}

func glob(pattern string) []string {
	out, _ := filepath.Glob(pattern)
	return out
}

func dirs(pattern string) []string {
	return slices.DeleteFunc(glob(pattern), func(path string) bool {
		st, err := os.Stat(path)
		return err != nil || !st.IsDir()
	})
}

// checkCounting sees that the logs of those who count have no gap within a run, but for
// what a killed shim had in hand.
func (c *chaos) checkCounting() {
	c.t.Helper()
	kills := 0
	for _, what := range c.done {
		if strings.Contains(what, "kill -9 the shim") {
			kills++
		}
	}
	for _, index := range []string{"1", "2"} {
		all, lines, runs := counted{}, 0, 0
		for line := range strings.Lines(c.run("logs", "--no-log-prefix", "--index", index, "lines")) {
			var n int
			if _, err := fmt.Sscanf(line, "line %d\n", &n); err != nil {
				c.t.Errorf("lines-%s: %q", index, line)
			}
			if lines++; n == 1 {
				all.next = 1
				runs++
			}
			if err := all.line(n); err != nil {
				c.t.Errorf("lines-%s: %v", index, err)
				all.next = n + 1
			}
		}
		c.note("lines-%s: %d lines of %d runs", index, lines, runs)
		if err := all.check(kills); err != nil || lines == 0 {
			c.t.Errorf("lines-%s: %d lines: %v", index, lines, err)
		}
	}
}
