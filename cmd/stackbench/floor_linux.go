package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// floorAtOnce is how many replicas of the floor are made at a time. On two cores
// two to four take the same; more only wait for the kernel's locks.
const floorAtOnce = 3

// floorMark is the kind of mark that the floor's sleepers carry.
const floorMark = 2

// floor makes replicas with raw system calls; see the package documentation.
type floor struct {
	disk    *disk
	tag     string // names links and cgroups
	mark    string
	groups  cgroups
	steps   map[int][]stepTimes // by number of replicas, one a round
	workers int
}

func newFloor(d *disk) (*floor, error) {
	f := &floor{
		disk: d, tag: "sb" + strconv.Itoa(os.Getpid()), mark: mark(floorMark),
		steps: map[int][]stepTimes{}, workers: floorAtOnce,
	}
	var err error
	if f.groups, err = detectCgroups("stackbench" + strconv.Itoa(os.Getpid())); err != nil {
		return nil, err
	}
	return f, f.groups.make("")
}

// close removes what all rounds share.
func (f *floor) close() error { return f.groups.remove("") }

func (f *floor) name() string { return floorRow }

// replica is one container of the floor.
type replica struct {
	number int
	dir    string
	group  string
	pid    int
	times  stepTimes
}

func (f *floor) round(ctx context.Context, n int) (out sample, err error) {
	dir := filepath.Join(f.disk.dir, "floor")
	if err := f.disk.fresh(ctx, dir); err != nil {
		return out, err
	}
	defer f.disk.discard(dir)
	begin := time.Now()
	r, err := f.begin(dir, n)
	if err != nil {
		return out, errors.Join(err, r.end())
	}
	err = r.makeAll(ctx)
	out.up = time.Since(begin)
	if err == nil {
		err = r.verify()
	}
	begin = time.Now()
	err = errors.Join(err, r.end())
	out.down = time.Since(begin)
	f.steps[n] = append(f.steps[n], r.mean())
	return out, errors.Join(err, wantSleepers(f.mark, 0))
}

// floorRound is the replicas of one round and the bridge they share.
type floorRound struct {
	*floor
	replicas []*replica
	link     *rtnetlink // in the host's network namespace
	bridge   int
}

func (f *floor) begin(dir string, n int) (*floorRound, error) {
	r := &floorRound{floor: f}
	for i := range n {
		name := strconv.Itoa(i)
		r.replicas = append(r.replicas, &replica{number: i, dir: filepath.Join(dir, name), group: name})
	}
	var err error
	if r.link, err = openRtnetlink(); err != nil {
		return r, err
	}
	r.bridge, err = r.link.addBridge(f.tag)
	return r, err
}

// makeAll makes the replicas, a few at a time, each worker with a socket of its own.
func (r *floorRound) makeAll(ctx context.Context) error {
	next := make(chan *replica)
	errs := make([]error, r.workers)
	var wg sync.WaitGroup
	for w := range r.workers {
		wg.Go(func() {
			for one := range next {
				if errs[w] == nil {
					errs[w] = r.make(one)
				}
			}
		})
	}
	for _, one := range r.replicas {
		if ctx.Err() != nil {
			break
		}
		next <- one
	}
	close(next)
	wg.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// make takes one replica from nothing to its program. The thread that joined the
// cgroups cannot be used again and dies with the goroutine.
func (r *floorRound) make(one *replica) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		result <- r.onThread(one)
	}()
	if err := <-result; err != nil {
		return fmt.Errorf("replica %d: %w", one.number, err)
	}
	return nil
}

func (r *floorRound) onThread(one *replica) error {
	c := newClock(&one.times)
	if err := r.groups.enter(one.group); err != nil {
		return err
	}
	c.done(stepCgroups)
	tree, err := mountOverlay(one.dir)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	c.done(stepOverlay)
	kid, err := cloneChild(tree, r.mark, r.groups.into(one.group))
	if err != nil {
		return err
	}
	defer kid.close()
	one.pid = kid.pid
	c.done(stepClone)
	if err := mapIDs(kid.pid); err != nil {
		return err
	}
	c.done(stepMaps)
	if err := r.connect(one, kid, c); err != nil {
		return err
	}
	err = kid.goAndExec()
	c.done(stepExec)
	return err
}

// connect plugs the replica's network namespace into the bridge.
func (r *floorRound) connect(one *replica, kid *child, c *clock) error {
	if err := r.link.addVeth(r.vethName(one), r.bridge, one.pid); err != nil {
		return err
	}
	c.done(stepVeth)
	inside, err := openRtnetlinkIn(kid.pidfd)
	if err != nil {
		return err
	}
	defer inside.Close()
	err = inside.configure(addressOf(one.number))
	c.done(stepAddresses)
	return err
}

func (r *floorRound) vethName(one *replica) string { return r.tag + "v" + strconv.Itoa(one.number) }

// end removes everything of the round.
func (r *floorRound) end() error {
	var errs []error
	for _, one := range r.replicas {
		if one.pid > 0 {
			unix.Kill(one.pid, unix.SIGKILL)
		}
	}
	if r.link != nil {
		errs = append(errs, r.link.deleteGroup(linkGroup()), r.link.delete(r.tag))
		r.link.Close()
	}
	for _, one := range r.replicas {
		if one.pid > 0 {
			_, err := unix.Wait4(one.pid, nil, 0, nil)
			errs = append(errs, err)
		}
		errs = append(errs, r.groups.remove(one.group))
	}
	for _, one := range r.replicas {
		errs = append(errs, os.RemoveAll(one.dir))
	}
	return errors.Join(errs...)
}

func (r *floorRound) mean() stepTimes {
	var sum stepTimes
	for _, one := range r.replicas {
		for s, d := range one.times {
			sum[s] += d / time.Duration(len(r.replicas))
		}
	}
	return sum
}

// printSteps says where the floor's time goes, a replica at the largest number.
func (f *floor) printSteps(w io.Writer) {
	most := 0
	for n := range f.steps {
		most = max(most, n)
	}
	fmt.Fprintf(w, "\nfloor, milliseconds of each step of a replica, %d made %d at a time:\n ", most, f.workers)
	for s, name := range stepNames() {
		var all []time.Duration
		for _, times := range f.steps[most] {
			all = append(all, times[s])
		}
		fmt.Fprintf(w, " %s %.2f ", name, ms(median(all)))
	}
	fmt.Fprintln(w)
}
