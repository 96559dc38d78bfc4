package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The budgets of saved files.
const (
	seenBudget    = 20 * time.Millisecond  // 99th percentile: save → bytes visible in all replicas
	restartBudget = 150 * time.Millisecond // median: save → restarted and answering
	burstBudget   = time.Second            // first write → all files in all replicas
)

const (
	reloadRestarts = 21
	reloadReplicas = 3
	burstFiles     = 5000
	burstRounds    = 3
)

// reloadFile: s looks at what is synced into it from inside, w serves a page that it
// reads when it starts. For docker compose %[1]s is an image of busybox.
const reloadFile = `name: %[5]s
services:
  s:
    image: %[1]q
    init: true
    scale: %[2]d
    command: [/bench, inside, see, /srv/src, /out/socket]
    volumes: ["%[3]s:/bench:ro", "./out:/out"]
    develop: {watch: [{path: ./src, target: /srv/src, action: sync}]}
  w:
    image: %[1]q
    init: true
    command: [/bench, inside, serve, /srv/page, /out/socket]
    ports: %[4]s
    volumes: ["%[3]s:/bench:ro", "./out:/out"]
    develop: {watch: [{path: ./page, target: /srv/page, action: sync+restart}]}
`

// reloadBench measures how saved files reach running replicas.
type reloadBench struct {
	dir, file, project string
	// run is a command of the contender.
	run   func(ctx context.Context, args ...string) *exec.Cmd
	image string
	saves int
	port  int // of this machine, where the server is reached from outside; 0 for none
}

// reloadTimes are what was measured.
type reloadTimes struct {
	seen, restart, served, burst, written []time.Duration
}

// reload prints what saved files take to be seen.
func reload(ctx context.Context, s *stack, d *disk, o options) error {
	root, err := s.prepare(ctx, 1)
	if err != nil {
		return err
	}
	defer s.discard(root)
	port, err := freePort()
	if err != nil {
		return err
	}
	b := &reloadBench{port: port, dir: s.dir, file: "stack.yaml", project: s.project, image: "rootfs:/", saves: o.saves, run: func(ctx context.Context, args ...string) *exec.Cmd {
		return s.command(ctx, root, append([]string{"-p", s.project}, args...)...)
	}}
	t, err := b.measure(ctx)
	if err != nil {
		return s.giveUp(root, err)
	}
	t.print(stackRow)
	if o.docker == "no" {
		return nil
	}
	return reloadBesideDocker(ctx, d, t)
}

// print shows the times beside the budgets.
func (t reloadTimes) print(who string) {
	fmt.Printf("\n%s: saved files, %d replicas, milliseconds\n%47s %8s %9s\n", who, reloadReplicas, "median", "p99", "most")
	line("save → seen inside by all", t.seen, fmt.Sprintf("p99, budget %.0f", ms(seenBudget)))
	line("save → restarted, answers inside", t.served, "")
	line("… and on its published port", t.restart, fmt.Sprintf("median, budget %.0f", ms(restartBudget)))
	line(fmt.Sprintf("%d files written → seen", burstFiles), t.burst, fmt.Sprintf("median, budget %.0f; the writing alone %.0f", ms(burstBudget), ms(median(t.written))))
}

func line(what string, all []time.Duration, note string) {
	if len(all) == 0 {
		return
	}
	if note != "" {
		note = "  (" + note + ")"
	}
	fmt.Printf("  %-34s %9.1f %8.1f %9.1f%s\n", what, ms(median(all)), ms(percentile(all, 99)), ms(slices.Max(all)), note)
}

func percentile(all []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}

// measure brings the services up, watches, and takes them down.
func (b *reloadBench) measure(ctx context.Context) (t reloadTimes, err error) {
	if err := b.prepare(); err != nil {
		return t, err
	}
	e, err := openEyes(filepath.Join(b.dir, "out/socket"))
	if err != nil {
		return t, err
	}
	defer e.close()
	if _, err := timed(b.run(ctx, "up", "-d")); err != nil {
		return t, err
	}
	watching, err := b.watch(ctx)
	if err != nil {
		return t, err
	}
	if err = e.wait(ctx, reloadReplicas); err == nil {
		err = b.all(ctx, e, &t)
	}
	watching.Process.Signal(os.Interrupt)
	watching.Wait()
	if err != nil {
		return t, err
	}
	_, err = timed(b.run(ctx, "down", "-t", "0"))
	return t, err
}

func (b *reloadBench) all(ctx context.Context, e *eyes, t *reloadTimes) error {
	for _, step := range []func(context.Context, *eyes, *reloadTimes) error{b.saved, b.restarts, b.bursts} {
		if err := step(ctx, e, t); err != nil {
			return err
		}
	}
	return nil
}

// prepare writes the files.
func (b *reloadBench) prepare() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	out := filepath.Join(b.dir, "out")
	err = errors.Join(os.MkdirAll(out, 0o755), os.Chmod(b.dir, 0o755), os.Chmod(out, 0o777), os.MkdirAll(filepath.Join(b.dir, "src"), 0o755))
	ports := "[]"
	if b.port != 0 {
		ports = fmt.Sprintf(`["127.0.0.1:%d:80"]`, b.port)
	}
	text := fmt.Sprintf(reloadFile, b.image, reloadReplicas, exe, ports, b.project)
	return errors.Join(err, b.write(b.file, text), b.write("page", "0"), b.write("src/page", "0 0"))
}

func (b *reloadBench) write(name, text string) error {
	return os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o644)
}

// watch begins to watch and returns when changes are seen.
func (b *reloadBench) watch(ctx context.Context) (*exec.Cmd, error) {
	cmd := b.run(ctx, "watch", "--no-up")
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return nil, err
	}
	said := make(chan string, 1)
	go func() {
		defer r.Close()
		var text strings.Builder
		buf := make([]byte, 4096)
		for told := false; ; {
			n, err := r.Read(buf)
			text.Write(buf[:n])
			if !told && (err != nil || strings.Contains(text.String(), "Watch enabled")) {
				said <- text.String()
				told = true
			}
			if err != nil {
				return
			}
		}
	}()
	if text := <-said; !strings.Contains(text, "Watch enabled") {
		return nil, fmt.Errorf("watch: %v: %s", cmd.Wait(), tail(text))
	}
	return cmd, nil
}

// saved saves a file again and again, as editors do, in turns in place and by a
// rename.
func (b *reloadBench) saved(ctx context.Context, e *eyes, t *reloadTimes) error {
	name := filepath.Join(b.dir, "src/page")
	for n := 1; n <= b.saves; n++ {
		to := name
		if n%2 == 0 {
			to = filepath.Join(b.dir, "src/.page.new")
		}
		text := fmt.Sprintf("%d %d", n, time.Now().UnixNano())
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			return err
		}
		if to != name {
			if err := os.Rename(to, name); err != nil {
				return err
			}
		}
		took, err := e.seen(ctx, "page "+strconv.Itoa(n), reloadReplicas)
		if err != nil {
			return err
		}
		t.seen = append(t.seen, took)
	}
	return nil
}

// restarts saves what a server reads only when it starts.
func (b *reloadBench) restarts(ctx context.Context, e *eyes, t *reloadTimes) error {
	address := fmt.Sprintf("127.0.0.1:%d", b.port)
	for n := 1; n <= reloadRestarts; n++ {
		began := time.Now()
		page := fmt.Sprintf("%d %d", n, began.UnixNano())
		if err := b.write("page", page); err != nil {
			return err
		}
		if b.port != 0 {
			if err := answers(ctx, address, page); err != nil {
				return err
			}
			t.restart = append(t.restart, time.Since(began))
		}
		took, err := e.seen(ctx, "served "+strconv.Itoa(n), 1)
		if err != nil {
			return err
		}
		t.served = append(t.served, took)
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// bursts changes thousands of files as `git checkout` does: each is removed and made
// again.
func (b *reloadBench) bursts(ctx context.Context, e *eyes, t *reloadTimes) error {
	for round := range burstRounds {
		began := time.Now()
		for n := range burstFiles {
			name := filepath.Join(b.dir, "src", burstName(n))
			if round == 0 && n%burstInOne == 0 {
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					return err
				}
			}
			os.Remove(name)
			if err := os.WriteFile(name, burstContent(n, round), 0o644); err != nil {
				return err
			}
		}
		t.written = append(t.written, time.Since(began))
		if _, err := e.seen(ctx, "burst "+strconv.Itoa(round), reloadReplicas); err != nil {
			return err
		}
		t.burst = append(t.burst, time.Since(began))
	}
	return nil
}

// burstInOne files are in each directory of a burst.
const burstInOne = 50

func burstName(n int) string { return fmt.Sprintf("burst/d%d/f%d", n/burstInOne, n) }

func burstContent(n, round int) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("file %d of round %d\n", n, round), 1+n%100))
}
