package watch

import (
	"fmt"
	"os"
	"syscall"
)

// maxRules bounds files that say what to watch: ignore files, Dockerfiles.
const maxRules = 4 << 20

// OpenRules opens a file that says what to watch. Who can write the folder may have put
// a FIFO or a device there, which would hold us up or never end.
func OpenRules(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && (!st.Mode().IsRegular() || st.Size() > maxRules) {
		err = fmt.Errorf("cannot read %s: it is not a regular file of at most %d MB", name, maxRules>>20)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
