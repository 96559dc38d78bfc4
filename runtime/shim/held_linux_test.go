package shim

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// More descriptors than fit in one packet are held and taken.
func TestManyDescriptors(t *testing.T) {
	s := newStack(t)
	const n = 600
	r, w := pipe(t)
	for i := range n {
		if err := s.c.Hold(s.ctx, fmt.Sprint("reservation-", i), w); err != nil {
			t.Fatal(err)
		}
	}
	s.run("a", "sleep 1000")
	taken, err := s.c.Take(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"reservation-0", "reservation-599", "pidfd/a", "stdout/a", "stderr/a", APIName} {
		if taken.Files[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if len(taken.Files) != n+4 || len(taken.Known) != 2 {
		t.Errorf("%d descriptors, %d requests", len(taken.Files), len(taken.Known))
	}
	for _, f := range taken.Files {
		f.Close()
	}
	for i := range n {
		if err := s.c.Release(s.ctx, fmt.Sprint("reservation-", i)); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	if _, err := io.Copy(io.Discard, r); err != nil { // ends when nobody holds w
		t.Fatal(err)
	}
}

func descriptors(t *testing.T, pid int) (names []string) {
	t.Helper()
	ds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range ds {
		l, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, d.Name()))
		names = append(names, l)
	}
	return names
}

// Containers that have been leave nothing open, in the shim or the controller.
func TestNoDescriptorLeft(t *testing.T) {
	s := newStack(t)
	once := func(id string) {
		s.order(order{Do: "run", ID: id, Stdin: true, Script: "read go; echo hello"})
		r, w := pipe(t)
		in := attach(s, id, Attach{Stdout: w, Stdin: true})
		w.Close()
		io.WriteString(in, "go\n")
		in.Close()
		if got, err := io.ReadAll(r); err != nil || string(got) != "hello\n" {
			t.Fatal(string(got), err)
		}
		r.Close()
		s.exit(id)
	}
	once("warm")
	controller := s.order(order{Do: "state"}).Pid
	settled := func(want int) (shim, ctl []string) {
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
			shim, ctl = descriptors(t, s.pid), descriptors(t, controller)
			if len(shim)+len(ctl) <= want || time.Now().After(end) {
				return shim, ctl
			}
		}
	}
	time.Sleep(20 * time.Millisecond)
	shim, ctl := settled(0x7fff)
	for i := range 10 {
		once(fmt.Sprint("c", i))
	}
	shim2, ctl2 := settled(len(shim) + len(ctl))
	if len(shim2) > len(shim) || len(ctl2) > len(ctl) {
		t.Errorf("shim: %d, then %d: %s\ncontroller: %d, then %d: %s",
			len(shim), len(shim2), strings.Join(shim2, " "), len(ctl), len(ctl2), strings.Join(ctl2, " "))
	}
}

func TestBadRequests(t *testing.T) {
	s := newStack(t)
	long := strings.Repeat("x", maxName+1)
	for _, r := range []Request{
		{Op: "dance"}, {Op: OpAdopt, ID: "a"}, {Op: OpAdopt, Pid: 1}, {Op: OpAdopt, ID: long, Pid: 1},
		{Op: OpAdopt, ID: "a", Pid: 1, Exit: "relative"}, {Op: OpStdio, ID: "a", Log: "relative"},
		{Op: OpStdio, ID: "a", Streams: []string{"stdout"}}, {Op: OpStdio, ID: "a", Terminal: true},
		{Op: OpAttach, ID: "a"}, {Op: OpHold, Name: "x"}, {Op: OpRelease, Name: "x"}, {Op: OpForget},
	} {
		if err := s.c.call(s.ctx, r, nil, nil); err == nil || errors.Is(err, ErrGone) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := s.c.Hold(s.ctx, "pidfd/a", null); err == nil || !strings.Contains(err.Error(), "reserved") {
		t.Error(err)
	}
	// What is no packet of ours ends the connection, not the shim.
	conn, err := dial(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.send("nonsense", nil); err != nil {
		t.Fatal(err)
	}
	var resp Response
	if _, err := conn.receive(&resp); err != io.EOF {
		t.Error(err)
	}
	if _, err := s.c.Hello(s.ctx); err != nil {
		t.Error(err)
	}
}

// An exit is not lost to a full disk.
func TestExitRecordWaitsForSpace(t *testing.T) {
	needRoot(t, "to mount a tmpfs")
	s := newStack(t)
	disk := s.dir + "/containers"
	if err := os.MkdirAll(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	s.order(order{Do: "run", ID: "a", Stdin: true, Script: "read go; exit 8"})
	if err := os.WriteFile(disk+"/ballast", make([]byte, 128<<10), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	in := attach(s, "a", Attach{Stdin: true})
	io.WriteString(in, "go\n")
	for len(s.order(order{Do: "state"}).IDs) > 0 { // until the shim has noticed
		time.Sleep(time.Millisecond)
	}
	if _, err := ReadExit(recordPath(s.dir, "a")); err == nil {
		t.Fatal("the disk was not full")
	}
	if err := os.Remove(disk + "/ballast"); err != nil {
		t.Fatal(err)
	}
	if rec := s.exit("a"); rec.Code != 8 {
		t.Fatal(rec)
	}
}
