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
// moves files up, ahead of it, where they are met again and recognised. Their order
// is that of the last meetings: several rotations between two looks bring files up
// that are newer than those met before. The gap that a rotation under way leaves is
// one number wide, so two missing numbers are the end, unless they are the gaps of
// two rotations.
func openChain(path string, last fs.FileInfo) ([]*os.File, error) {
	return scan(path, last, openLog)
}

func scan(path string, last fs.FileInfo, open func(string) (*os.File, fs.FileInfo, error)) ([]*os.File, error) {
	var files []*os.File // newest first
	var infos []fs.FileInfo
	var newest place
	for n, missing := 0, 0; ; n++ {
		f, info, err := open(rotated(path, n))
		if errors.Is(err, fs.ErrNotExist) {
			if missing++; missing < 2 {
				continue
			}
			now := newestPlace(path)
			if now.same(newest) {
				break
			}
			newest, missing = now, 0
			continue
		}
		if err != nil {
			closeAll(files)
			return nil, err
		}
		if missing = 0; n < 2 && len(files) == 0 {
			newest = place{n, info}
		}
		if last != nil && os.SameFile(last, info) {
			f.Close()
			break
		}
		if i := slices.IndexFunc(infos, func(met fs.FileInfo) bool { return os.SameFile(met, info) }); i >= 0 {
			files[i].Close()
			files, infos = slices.Delete(files, i, i+1), slices.Delete(infos, i, i+1)
		}
		files, infos = append(files, f), append(infos, info)
	}
	slices.Reverse(files)
	return files, nil
}

// place is where the newest file is: current, or just rotated with none after it
// yet. While it is the same no rotation has been completed.
type place struct {
	n    int
	info fs.FileInfo // nil: neither is there
}

func newestPlace(path string) place {
	for n := range 2 {
		if info, err := os.Lstat(rotated(path, n)); err == nil {
			return place{n, info}
		}
	}
	return place{}
}

func (p place) same(as place) bool {
	if p.info == nil || as.info == nil {
		return p.info == nil && as.info == nil
	}
	return p.n == as.n && os.SameFile(p.info, as.info)
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

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
