package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// compose measures docker compose: the same service from an image of busybox, which
// is smaller than what stack shows its replicas.
type compose struct {
	title   string
	program []string // docker compose, or docker-compose
	env     []string
	dir     string
	image   string
	project string
	mark    string
}

const composeFile = `services:
  s:
    image: %s
    init: true
    command: [sleep, "%s"]
`

// besideDocker adds docker compose's rows, one round of each number: its rounds are
// long beside our noise. Where it is not installed it says so.
func besideDocker(ctx context.Context, on *disk, t *table) error {
	program, title, ok := findCompose(ctx)
	if !ok {
		fmt.Println("docker compose: not measured, neither `docker compose` nor `docker-compose` is installed")
		return nil
	}
	return withCompose(ctx, on, "docker compose", program, title, func(c *compose) error {
		return suite{rounds: 1, contenders: []contender{c}, table: t}.run(ctx, t.replicas)
	})
}

// withCompose has f use docker compose on an engine of its own. Where that cannot be
// had it says that what is not measured, and f is not called.
func withCompose(ctx context.Context, on *disk, what string, program []string, title string, f func(*compose) error) error {
	dir := filepath.Join(on.dir, "docker")
	if err := on.fresh(ctx, dir); err != nil {
		return err
	}
	defer on.discard(dir)
	d, err := useDocker(ctx, dir)
	if err != nil {
		fmt.Printf("%s: not measured: %v\n", what, err)
		return nil
	}
	defer d.close()
	c := &compose{
		title: title, program: program, env: append(os.Environ(), "DOCKER_HOST="+d.host), dir: filepath.Join(on.dir, "compose"),
		image: "stackbench" + strconv.Itoa(os.Getpid()), project: "stackbenchdc" + strconv.Itoa(os.Getpid()), mark: mark(4),
	}
	if err := c.prepare(ctx); err != nil {
		return err
	}
	defer c.removeImage()
	return f(c)
}

// findCompose prefers the plugin, which is the newer and faster one.
func findCompose(ctx context.Context) (program []string, title string, ok bool) {
	for _, p := range [][]string{{"docker", "compose"}, {"docker-compose"}} {
		args := append(p[1:len(p):len(p)], "version", "--short")
		if out, err := command(ctx, p[0], args...).Output(); err == nil {
			return p, strings.Join(p, " ") + " " + strings.TrimSpace(string(out)), true
		}
	}
	return nil, "", false
}

func (c *compose) name() string { return c.title }

// prepare writes the file and imports the image.
func (c *compose) prepare(ctx context.Context) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	text := fmt.Sprintf(composeFile, c.image, c.mark)
	if err := os.WriteFile(filepath.Join(c.dir, "docker-compose.yml"), []byte(text), 0o600); err != nil {
		return err
	}
	tree, err := busyboxTree()
	if err != nil {
		return err
	}
	cmd := command(ctx, "docker", "import", "-", c.image)
	cmd.Env, cmd.Stdin = c.env, bytes.NewReader(tree)
	_, err = timed(cmd)
	return err
}

func (c *compose) removeImage() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := command(ctx, "docker", "rmi", "-f", c.image)
	cmd.Env = c.env
	_, err := timed(cmd)
	return err
}

func (c *compose) round(ctx context.Context, n int) (out sample, err error) {
	out.up, err = c.run(ctx, "up", "-d", "--scale", "s="+strconv.Itoa(n))
	if err == nil {
		err = wantSleepers(c.mark, n)
	}
	if err == nil {
		out.down, err = c.run(ctx, "down")
	}
	if err != nil { // the round's own context may be over
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, e := c.run(ctx, "down", "-t", "0")
		err = errors.Join(err, e)
	}
	return out, err
}

func (c *compose) run(ctx context.Context, args ...string) (time.Duration, error) {
	args = append(append(c.program[1:len(c.program):len(c.program)], "-p", c.project), args...)
	cmd := command(ctx, c.program[0], args...)
	cmd.Dir, cmd.Env = c.dir, c.env
	return timed(cmd)
}

// busyboxTree is a tar of a root with the host's static busybox and nothing else.
func busyboxTree() ([]byte, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return nil, fmt.Errorf("cannot make an image for docker: %w", err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, dir := range []string{"bin/", "dev/", "etc/", "proc/", "sys/", "tmp/"} {
		err = errors.Join(err, w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}))
	}
	err = errors.Join(err, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755, Size: int64(len(program))}))
	_, e := w.Write(program)
	err = errors.Join(err, e)
	for _, name := range []string{"sleep", "sh", "rm", "tar"} {
		err = errors.Join(err, w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox"}))
	}
	return out.Bytes(), errors.Join(err, w.Close())
}
