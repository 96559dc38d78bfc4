package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

// reloadBesideDocker measures `docker compose watch` likewise, where it is installed:
// docker-compose of before version 2.22 cannot.
func reloadBesideDocker(ctx context.Context, on *disk, ours reloadTimes) error {
	program, title, ok := findCompose(ctx)
	if ok {
		args := append(program[1:len(program):len(program)], "watch", "--help")
		ok = command(ctx, program[0], args...).Run() == nil
	}
	if !ok {
		fmt.Println("docker compose watch: not measured, it is not installed")
		return nil
	}
	return withCompose(ctx, on, "docker compose watch", program, title, func(c *compose) error { return c.reload(ctx, ours) })
}

func (c *compose) reload(ctx context.Context, ours reloadTimes) error {
	b := &reloadBench{dir: c.dir, file: "docker-compose.yml", project: c.project, image: c.image, saves: composeSaves, run: func(ctx context.Context, args ...string) *exec.Cmd {
		args = append(append(c.program[1:len(c.program):len(c.program)], "-p", c.project), args...)
		cmd := command(ctx, c.program[0], args...)
		cmd.Dir, cmd.Env = c.dir, c.env
		return cmd
	}}
	t, err := b.measure(ctx)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, e := c.run(ctx, "down", "-t", "0")
		fmt.Printf("%s watch: not measured: %v\n", c.title, err)
		return e
	}
	t.print(c.title + " watch")
	fmt.Printf("%s watch / stack, medians: seen %.1f, restarted %.1f, burst %.1f\n", c.title, over(median[time.Duration], t.seen, ours.seen),
		over(median[time.Duration], t.served, ours.served), over(median[time.Duration], t.burst, ours.burst))
	return nil
}

// composeSaves are fewer: each takes it half a second.
const composeSaves = 20
