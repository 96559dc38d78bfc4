package stub

import (
	"encoding/binary"
	"fmt"
	"sort"
	"syscall"
)

// Table says what a script does at which address, in ascending order: an entry
// holds from its address up to the next one's. It is kept in a container's
// record, so that another process can explain a failure.
type Table []Entry

// Entry is one run of steps that share a description.
type Entry struct {
	From uint64
	Do   string
}

// add appends a step at addr; steps without a description belong to the one
// before.
func (t Table) add(addr uint64, do string) Table {
	if n := len(t); n > 0 && (do == "" || t[n-1].Do == do) {
		return t
	}
	return append(t, Entry{addr, do})
}

// Find says what the step at addr does.
func (t Table) Find(addr uint64) string {
	i := sort.Search(len(t), func(i int) bool { return t[i].From > addr })
	if i == 0 || t[i-1].Do == "" {
		return fmt.Sprintf("run step %#x", addr)
	}
	return t[i-1].Do
}

// Failure is what a stub wrote to its failure descriptor.
type Failure struct {
	Step  uint64
	Errno syscall.Errno
}

// ParseFailure reads a failure record; false when b is none.
func ParseFailure(b []byte) (Failure, bool) {
	if len(b) != FailureSize {
		return Failure{}, false
	}
	le := binary.LittleEndian
	return Failure{le.Uint64(b), syscall.Errno(le.Uint64(b[8:]))}, true
}
