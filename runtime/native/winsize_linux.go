package native

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// SetTerminalSize tells a terminal's master, and with it the programs on the other
// side, how large the screen is. The descriptor's mode is left alone: it may be
// shared with the shim, which must not block on it.
func SetTerminalSize(master *os.File, rows, columns uint16) error {
	fd, err := rawFD(master)
	if err == nil {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	}
	if err != nil {
		return fmt.Errorf("cannot set the terminal's size: %w", err)
	}
	return nil
}
