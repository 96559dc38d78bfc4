package main

import "time"

// Steps of a replica of the floor, in order.
const (
	stepCgroups = iota
	stepOverlay
	stepClone
	stepMaps
	stepVeth
	stepAddresses
	stepExec
	steps
)

func stepNames() [steps]string {
	return [steps]string{"cgroups", "overlay", "clone", "id maps", "veth", "addresses", "exec"}
}

type stepTimes [steps]time.Duration

// clock attributes the time since the last step to the one that is done.
type clock struct {
	last  time.Time
	times *stepTimes
}

func newClock(t *stepTimes) *clock { return &clock{last: time.Now(), times: t} }

func (c *clock) done(step int) {
	now := time.Now()
	c.times[step] += now.Sub(c.last)
	c.last = now
}
