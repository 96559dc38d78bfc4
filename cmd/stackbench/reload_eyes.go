package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// eyes hear from inside the replicas what is seen there: a line for each thing, with
// how many nanoseconds after it was written. A replica begins with "ready".
type eyes struct {
	socket net.Listener
	lines  chan string
}

func openEyes(path string) (*eyes, error) {
	os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o777); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	e := &eyes{socket: l, lines: make(chan string, 1024)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				for s := bufio.NewScanner(c); s.Scan(); {
					e.lines <- s.Text()
				}
			}()
		}
	}()
	return e, nil
}

func (e *eyes) close() { e.socket.Close() }

// reloadPatience is how long a replica may take to see anything.
const reloadPatience = 20 * time.Second

// wait waits for n replicas.
func (e *eyes) wait(ctx context.Context, n int) error {
	_, err := e.seen(ctx, "ready", n)
	return err
}

// seen waits until n replicas have seen something, and tells how long the last took.
func (e *eyes) seen(ctx context.Context, what string, n int) (time.Duration, error) {
	patience := time.NewTimer(reloadPatience)
	defer patience.Stop()
	var most time.Duration
	for n > 0 {
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-patience.C:
			return 0, fmt.Errorf("%d replicas have not seen %s after %v", n, what, reloadPatience)
		case line := <-e.lines:
			rest, ok := strings.CutPrefix(line, what+" ")
			if strings.HasPrefix(line, "error ") {
				return 0, errors.New(line)
			}
			if !ok {
				continue // of an earlier one
			}
			took, err := strconv.ParseInt(rest, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("cannot read %q: %w", line, err)
			}
			most = max(most, time.Duration(took))
			n--
		}
	}
	return most, nil
}

// freePort is one of this machine that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
