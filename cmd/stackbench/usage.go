package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what one process takes; all but pss are differences of two measurements.
type usage struct {
	pss      float64 // MB
	ticks    int     // of 10 ms: what top shows
	cpu      time.Duration
	switches int // voluntary: how often it woke and slept again
}

func (u usage) since(before usage) usage {
	u.ticks -= before.ticks
	u.cpu -= before.cpu
	u.switches -= before.switches
	return u
}

// measure reads /proc; see proc(5).
func measure(pid int) usage {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	var u usage
	var kb int
	fmt.Sscanf(field(filepath.Join(dir, "smaps_rollup"), "Pss"), "%d", &kb)
	u.pss = float64(kb) / 1024
	u.ticks = ticks(firstLine(filepath.Join(dir, "stat")))
	tasks, _ := os.ReadDir(filepath.Join(dir, "task"))
	for _, t := range tasks {
		task := filepath.Join(dir, "task", t.Name())
		ran, _, _ := strings.Cut(firstLine(filepath.Join(task, "schedstat")), " ")
		ns, _ := strconv.Atoi(ran)
		u.cpu += time.Duration(ns)
		n, _ := strconv.Atoi(field(filepath.Join(task, "status"), "voluntary_ctxt_switches"))
		u.switches += n
	}
	return u
}

// ticks is utime + stime of a line of /proc/PID/stat, whose second field may hold
// anything.
func ticks(line string) int {
	f := strings.Fields(line[strings.LastIndex(line, ")")+1:])
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return user + system
}

// background finds the shim and the controller of a state directory.
func background(root string) (shim, controller int, err error) {
	for _, pid := range processes(func(dir string) bool {
		env, err := os.ReadFile(filepath.Join(dir, "environ"))
		return err == nil && bytes.Contains(append([]byte{0}, env...), []byte("\x00STACK_ROOT="+root+"\x00"))
	}) {
		line, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		args := strings.Split(string(line), "\x00")
		switch {
		case filepath.Base(args[0]) == "stack-shim":
			shim = pid
		case len(args) > 1 && args[1] == "controller":
			controller = pid
		}
	}
	if shim == 0 || controller == 0 {
		return 0, 0, fmt.Errorf("cannot find shim and controller of %s", root)
	}
	return shim, controller, nil
}
