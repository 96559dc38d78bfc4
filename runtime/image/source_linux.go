package image

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

func sourceOf(file string) (*Source, error) {
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		return nil, fmt.Errorf("cannot look at %s: %w", file, err)
	}
	return &Source{Size: st.Size, Modified: time.Unix(st.Mtim.Unix()).UTC(), Inode: st.Ino}, nil
}
