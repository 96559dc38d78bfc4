package main

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"
)

// plain unshares six namespaces and executes, through the standard library, and
// does nothing else: less than this cannot be a container.
type plain struct{}

func (plain) name() string { return plainRow }

func (plain) round(ctx context.Context, n int) (out sample, err error) {
	mark := mark(3)
	begin := time.Now()
	pids, err := forkAll(n, mark)
	out.up = time.Since(begin)
	if err == nil {
		err = wantSleepers(mark, n)
	}
	begin = time.Now()
	for _, pid := range pids {
		err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
	}
	for _, pid := range pids {
		_, e := syscall.Wait4(pid, nil, 0, nil)
		err = errors.Join(err, e)
	}
	out.down = time.Since(begin)
	return out, errors.Join(err, ctx.Err())
}

// forkAll starts n programs, as many at a time as the floor does.
func forkAll(n int, mark string) ([]int, error) {
	var (
		mu   sync.Mutex
		pids []int
		errs []error
		wg   sync.WaitGroup
	)
	next := make(chan struct{}, n)
	for range n {
		next <- struct{}{}
	}
	close(next)
	for range floorAtOnce {
		wg.Go(func() {
			for range next {
				pid, err := syscall.ForkExec("/bin/sleep", []string{"/bin/sleep", mark}, &syscall.ProcAttr{
					Sys: &syscall.SysProcAttr{Cloneflags: sixNamespaces},
				})
				mu.Lock()
				if err != nil {
					errs = append(errs, err)
				} else {
					pids = append(pids, pid)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return pids, errors.Join(errs...)
}
