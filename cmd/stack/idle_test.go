package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const atRest = `
services:
  web:
    image: rootfs:/
    init: true
    scale: 3
    command: ["sleep", "1000"]
    ports: ["18375:80"]
    x-stack: {bandwidth: {egress: 10mbit}}
  db:
    image: rootfs:/
    init: true
    command: ["sleep", "1000"]
    volumes: ["data:/data"]
  done:
    image: rootfs:/
    command: ["true"]
volumes: {data: {}}
`

// TestAtRest: a stack that is as its file says costs nothing: no round of the loop,
// no time of the processor; also after something was repaired, whatever that changed
// on the host, and while other programs change the host's network.
func TestAtRest(t *testing.T) {
	p := newProject(t, atRest)
	p.run("up", "-d", "--wait")
	p.awaitRest("up")
	var used []int
	for range 3 { // the runtime may tidy up its memory in one of them
		before := p.ticks()
		time.Sleep(2 * time.Second)
		if used = append(used, p.ticks()-before); used[len(used)-1] <= 2 {
			break
		}
	}
	if slices.Min(used) > 2 {
		t.Errorf("controller and shim used %d hundredths of a second in 2 s", used)
	}
	for _, harm := range []string{
		"nft delete table inet stack-" + p.name,
		"rm -rf " + p.root + "/lib/volumes/" + p.name + "_data/_data",
	} {
		output("sh", "-c", harm)
		p.await("a repair after "+harm, func() error {
			if out := p.run("events", "--since", "1h", "--until", "0s", "--filter", "event=repair"); !strings.Contains(out, "repair") {
				return fmt.Errorf("events: %q", out)
			}
			return nil
		})
		p.awaitRest(harm)
	}
	before := p.turns()
	for n := range 20 {
		link := fmt.Sprintf("t%d", n)
		output("ip", "link", "add", link, "type", "veth", "peer", "name", link+"p")
		output("ip", "link", "del", link)
	}
	if now := p.turns(); now != before {
		t.Errorf("links of others cost %d rounds", now-before)
	}
}

// turns are the rounds of the controller's loop so far.
func (p *project) turns() int {
	p.t.Helper()
	for line := range strings.Lines(p.run("metrics")) {
		if text, ok := strings.CutPrefix(line, "stack_controller_turns_total "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil {
				p.t.Fatal(err)
			}
			return n
		}
	}
	p.t.Fatal("the metrics tell no turns")
	return 0
}

// awaitRest waits until a second has passed without a round.
func (p *project) awaitRest(after string) {
	p.t.Helper()
	p.await("rest after "+after, func() error {
		before := p.turns()
		time.Sleep(time.Second)
		if now := p.turns(); now != before {
			return fmt.Errorf("%d rounds in a second", now-before)
		}
		return nil
	})
}

// ticks is the processor time of controller and shim, in hundredths of a second.
func (p *project) ticks() (sum int) {
	p.t.Helper()
	for _, proc := range processes(p.root) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", proc.pid))
		if err != nil {
			p.t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		fields := strings.Fields(rest)
		for _, n := range []int{11, 12} { // utime and stime, fields 14 and 15
			ticks, err := strconv.Atoi(fields[n])
			if err != nil {
				p.t.Fatal(err)
			}
			sum += ticks
		}
	}
	return sum
}
