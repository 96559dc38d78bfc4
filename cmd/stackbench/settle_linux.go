package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

// settle waits until the kernel has taken apart the network namespaces of those
// that ended: it does so in the background, in order, with the same locks that the
// next round needs, whose time would otherwise be charged with its predecessor's
// end. A namespace of our own is queued last; its link goes when it is done.
func settle(ctx context.Context) error {
	name := "sbq" + strconv.Itoa(os.Getpid())
	if err := queueNamespace(name); err != nil {
		return fmt.Errorf("cannot wait for the kernel: %w", err)
	}
	for {
		if _, err := net.InterfaceByName(name); err != nil {
			return nil
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

// queueNamespace makes a network namespace with a link to ours, and ends it.
func queueNamespace(name string) error {
	pid, err := syscall.ForkExec("/bin/sleep", []string{"/bin/sleep", mark(5)}, &syscall.ProcAttr{
		Sys: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET},
	})
	if err != nil {
		return err
	}
	link, err := openRtnetlink()
	if err == nil {
		err = link.addVeth(name, 0, pid)
		link.Close()
	}
	err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
	_, e := syscall.Wait4(pid, nil, 0, nil)
	return errors.Join(err, e)
}
