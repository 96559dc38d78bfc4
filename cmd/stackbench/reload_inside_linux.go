package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inside is what runs in the replicas.
func inside(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "see":
		return see(args[1], args[2])
	case len(args) == 3 && args[0] == "serve":
		return serve(args[1], args[2])
	}
	return errors.New("usage: inside see DIR SOCKET | serve FILE SOCKET")
}

// serve is a static server that reads its page once, when it starts, and tells when it
// answers.
func serve(file, socket string) error {
	page, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		ended <- http.ListenAndServe(":80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(page) }))
	}()
	var number, written int64
	if _, err := fmt.Sscan(string(page), &number, &written); err == nil {
		if err := answers(context.Background(), "127.0.0.1:80", string(page)); err != nil {
			return err
		}
		to, err := net.Dial("unix", socket)
		if err != nil {
			return err
		}
		fmt.Fprintf(to, "served %d %d\n", number, time.Now().UnixNano()-written)
		if err := to.Close(); err != nil {
			return err
		}
	}
	return <-ended
}

// answers waits until the server gives the page.
func answers(ctx context.Context, address, page string) error {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: (&net.Dialer{Timeout: 100 * time.Millisecond}).DialContext}}
	deadline := time.Now().Add(reloadPatience)
	for {
		resp, err := client.Get("http://" + address)
		if err == nil {
			got, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(got) == page {
				return nil
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not answer %q after %v: %v", address, page, reloadPatience, err)
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

// see tells of what changes below dir, as inotify does to any program.
func see(dir, socket string) error {
	to, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return err
	}
	s := &sight{dir: dir, to: to, fd: fd, names: map[int32]string{}, burst: map[string]bool{}}
	s.enter("")
	fmt.Fprintln(to, "ready 0")
	err = s.look()
	fmt.Fprintln(to, "error", err)
	return err
}

type sight struct {
	dir   string
	to    net.Conn
	fd    int
	names map[int32]string // watched directories
	page  string
	burst map[string]bool // what came of it
	round int
}

// enter watches a directory with all below it.
func (s *sight) enter(name string) {
	path := filepath.Join(s.dir, name)
	wd, err := unix.InotifyAddWatch(s.fd, path, unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO|unix.IN_CREATE|unix.IN_MODIFY|unix.IN_ONLYDIR)
	if err != nil {
		return
	}
	s.names[int32(wd)] = name
	entries, _ := os.ReadDir(path)
	for _, e := range entries {
		below := filepath.Join(name, e.Name())
		if e.IsDir() {
			s.enter(below)
		} else {
			s.came(below)
		}
	}
}

func (s *sight) look() error {
	buf := make([]byte, 1<<20)
	for {
		n, err := unix.Read(s.fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		for at := 0; at < n; {
			ev := (*unix.InotifyEvent)(unsafe.Pointer(&buf[at]))
			name := filepath.Join(s.names[ev.Wd], string(bytes.TrimRight(buf[at+unix.SizeofInotifyEvent:at+unix.SizeofInotifyEvent+int(ev.Len)], "\x00")))
			at += unix.SizeofInotifyEvent + int(ev.Len)
			switch {
			case ev.Mask&unix.IN_Q_OVERFLOW != 0:
				return errors.New("events were lost")
			case ev.Mask&unix.IN_ISDIR != 0:
				s.enter(name)
			case ev.Mask&(unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO) != 0 || name == "page":
				s.came(name)
			}
		}
		s.complete()
	}
}

// came notes a file that was written.
func (s *sight) came(name string) {
	if strings.HasPrefix(name, "burst/") && strings.HasPrefix(filepath.Base(name), "f") {
		s.burst[name] = true
		return
	}
	if name != "page" {
		return
	}
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	now := time.Now().UnixNano()
	var number, written int64
	if _, e := fmt.Sscan(string(text), &number, &written); err != nil || e != nil || string(text) == s.page {
		return
	}
	s.page = string(text)
	fmt.Fprintf(s.to, "page %d %d\n", number, now-written)
}

// complete tells when all of a burst came, and holds its content against what it
// must be.
func (s *sight) complete() {
	if len(s.burst) < burstFiles {
		return
	}
	for n := range burstFiles {
		got, err := os.ReadFile(filepath.Join(s.dir, burstName(n)))
		if err != nil || !bytes.Equal(got, burstContent(n, s.round)) {
			return // not all is this round's yet
		}
	}
	fmt.Fprintf(s.to, "burst %d 0\n", s.round)
	s.round++
	clear(s.burst)
}
