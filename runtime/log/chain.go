package log

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// openChain opens the files that are newer than last (all when nil), oldest
// first. Going up from the current file it cannot miss one: a rotation only
// moves files up, ahead of it, where they are met again and recognised. The gap
// that a rotation under way leaves is one number wide.
func openChain(path string, last fs.FileInfo) ([]*os.File, error) {
	var files []*os.File // newest first
	var infos []fs.FileInfo
	for n, missing := 0, 0; missing < 2; n++ {
		f, info, err := openLog(rotated(path, n))
		if errors.Is(err, fs.ErrNotExist) {
			missing++
			continue
		}
		if err != nil {
			closeAll(files)
			return nil, err
		}
		missing = 0
		if last != nil && os.SameFile(last, info) {
			f.Close()
			break
		}
		if contains(infos, info) {
			f.Close()
			continue
		}
		files, infos = append(files, f), append(infos, info)
	}
	slices.Reverse(files)
	return files, nil
}

// successors returns the files written after cur, oldest first; all of them
// when cur is nil or was rotated away. Finding one proves cur complete: a writer
// never goes back to a file.
func successors(path string, cur *os.File) ([]*os.File, error) {
	if cur == nil {
		return openChain(path, nil)
	}
	here, err := cur.Stat()
	if err != nil {
		return nil, err
	}
	return openChain(path, here)
}

func openLog(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

func contains(infos []fs.FileInfo, info fs.FileInfo) bool {
	for _, i := range infos {
		if os.SameFile(i, info) {
			return true
		}
	}
	return false
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
