package scheduler

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/moby/sys/user"
)

// subIDUser is whose ranges of /etc/subuid and /etc/subgid are for stacks.
const subIDUser = "stack"

// idBlock are ids of the host.
type idBlock struct {
	first uint32
	size  uint64
}

func (b idBlock) overlaps(c idBlock) bool {
	return uint64(b.first) < uint64(c.first)+c.size && uint64(c.first) < uint64(b.first)+b.size
}

// idPool is where ranges come from, and what of it is another's.
type idPool struct {
	blocks, taken []idBlock
}

// readIDPool reads the machine's files.
func readIDPool() (idPool, error) {
	uids, err := subIDs("/etc/subuid")
	if err != nil {
		return idPool{}, err
	}
	gids, err := subIDs("/etc/subgid")
	return newIDPool(uids, gids), err
}

func subIDs(path string) ([]user.SubID, error) {
	list, err := user.ParseSubIDFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return list, err
}

// newIDPool takes the ranges that both files give the user "stack"; without any, a
// block of our own that avoids those of all others.
func newIDPool(uids, gids []user.SubID) idPool {
	var p idPool
	for _, u := range uids {
		if u.Name == subIDUser && slices.Contains(gids, u) && u.Count >= idSize {
			p.blocks = append(p.blocks, blockOf(u))
		}
	}
	if len(p.blocks) > 0 {
		return p
	}
	p.blocks = []idBlock{{idFirst, idLast + idSize - idFirst}}
	for _, other := range slices.Concat(uids, gids) {
		if other.Count > 0 && other.SubID >= 0 && other.SubID < 1<<32 {
			p.taken = append(p.taken, blockOf(other))
		}
	}
	return p
}

func blockOf(s user.SubID) idBlock { return idBlock{uint32(s.SubID), uint64(s.Count)} }

// free finds size ids that nobody has.
func (p idPool) free(size uint64) (uint32, bool) {
	for _, b := range p.blocks {
		end := uint64(b.first) + b.size
		for first := uint64(b.first); first+size <= end; first += size {
			candidate := idBlock{uint32(first), size}
			if !slices.ContainsFunc(p.taken, candidate.overlaps) {
				return candidate.first, true
			}
		}
	}
	return 0, false
}
