package monitor

import (
	"os"
	"os/signal"
	"syscall"
)

// watchSignals catches all that can be, but for those that this process and its Go
// runtime make themselves.
func watchSignals() <-chan os.Signal {
	c := make(chan os.Signal, 64)
	signal.Notify(c)
	signal.Reset(syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE)
	signal.Ignore(syscall.SIGPIPE)
	return c
}

// endsBoot says whether a signal ends a machine whose program does not run yet.
func endsBoot(sig os.Signal) (int, bool) {
	switch s, _ := sig.(syscall.Signal); s {
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP:
		return int(s), true
	}
	return 0, false
}
