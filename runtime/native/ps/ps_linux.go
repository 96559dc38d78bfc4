package ps

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ticks is USER_HZ, in which the kernel tells times on every architecture that
// stack runs on.
const ticks = 100

// Process is one process as the host sees it.
type Process struct {
	UID       uint32 // effective, of the host
	Pid, PPid int
	// CPU is the share of one processor used over the process's life, in percent.
	CPU     int
	Started time.Time
	TTY     string // "pts/0", or "?"
	Time    time.Duration
	Command string
}

// Read looks at one process. One that is gone is fs.ErrNotExist or ESRCH.
func Read(pid int) (Process, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	b, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return Process{}, err
	}
	uid, err := user(dir)
	if err != nil {
		return Process{}, err
	}
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return Process{}, err
	}
	p, name, err := parse(b, time.Duration(up.Nano()), time.Now())
	if err != nil {
		return Process{}, fmt.Errorf("cannot read process %d: %w", pid, err)
	}
	p.Pid, p.UID = pid, uid
	line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
	p.Command = command(line, name)
	return p, nil
}

// user is the effective user of a process. The owner of its directory would be
// root for a process that must not be traced.
func user(dir string) (uint32, error) {
	b, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Uid:"); ok {
			if f := strings.Fields(rest); len(f) == 4 {
				uid, err := strconv.ParseUint(f[1], 10, 32)
				return uint32(uid), err
			}
		}
	}
	return 0, fmt.Errorf("cannot find the user in %s/status", dir)
}

// parse reads /proc/PID/stat (proc_pid_stat(5)) at the time now, when the machine
// has been up for up.
func parse(stat []byte, up time.Duration, now time.Time) (Process, string, error) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return Process{}, "", fmt.Errorf("cannot parse %q", stat)
	}
	f := strings.Fields(string(stat[end+1:])) // f[0] is field 3
	if len(f) < 20 {
		return Process{}, "", fmt.Errorf("cannot parse %q", stat)
	}
	number := func(field int) int64 {
		n, _ := strconv.ParseInt(f[field-3], 10, 64)
		return n
	}
	used := duration(number(14) + number(15))
	alive := up - duration(number(22))
	p := Process{
		PPid: int(number(4)), TTY: terminal(uint64(uint32(number(7)))),
		Time: used, Started: now.Add(-alive),
	}
	if alive > 0 {
		p.CPU = int(100 * used / alive)
	}
	return p, string(stat[open+1 : end]), nil
}

func duration(n int64) time.Duration { return time.Duration(n) * (time.Second / ticks) }

// terminal names the device of a controlling terminal.
func terminal(device uint64) string {
	switch major, minor := unix.Major(device), unix.Minor(device); {
	case device == 0:
		return "?"
	case major >= 136 && major <= 143:
		return fmt.Sprintf("pts/%d", (major-136)<<20|minor)
	case major == 4 && minor < 64:
		return fmt.Sprintf("tty%d", minor)
	case major == 4:
		return fmt.Sprintf("ttyS%d", minor-64)
	default:
		return fmt.Sprintf("%d,%d", major, minor)
	}
}

// command is the command line, or the name of what has none.
func command(line []byte, name string) string {
	text := strings.TrimRight(string(line), "\x00")
	if text == "" {
		return "[" + name + "]"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == 0:
			return ' '
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0:
			return '?' // it could steer the reader's terminal
		}
		return r
	}, text)
}

// Columns are the values in the order of Header.
func (p Process) Columns(user string, now time.Time) []string {
	return []string{
		user, strconv.Itoa(p.Pid), strconv.Itoa(p.PPid), strconv.Itoa(min(p.CPU, 99)),
		started(p.Started, now), p.TTY, clock(p.Time), p.Command,
	}
}

// Header is the first line of `ps -ef`.
func Header() []string {
	return []string{"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"}
}

// started is the time of day today, the day in the last year, or the year.
func started(at, now time.Time) string {
	switch {
	case at.YearDay() == now.YearDay() && at.Year() == now.Year():
		return at.Format("15:04")
	case at.Year() == now.Year():
		return at.Format("Jan02")
	}
	return at.Format("2006")
}

func clock(d time.Duration) string {
	s := int(d.Seconds())
	if days := s / 86400; days > 0 {
		return fmt.Sprintf("%d-%02d:%02d:%02d", days, s/3600%24, s/60%60, s%60)
	}
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}
