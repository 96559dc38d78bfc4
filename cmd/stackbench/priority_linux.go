package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// favour puts this process and, by inheritance, every contender before what else
// the machine does. It reports whether it was allowed.
func favour() bool {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil || unix.Setpriority(unix.PRIO_PROCESS, tid, -20) != nil {
			return false
		}
	}
	return true
}
