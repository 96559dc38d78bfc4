package native

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime/native/stub"
)

// recordVersion changes when an older program could not act on a newer record.
const recordVersion = 1

// record is what is kept of a container between processes, as JSON in
//
//	ROOT/ID/state.json   0600, replaced by rename
//	ROOT/ID/poststart    empty; there are hooks to run once it is started
//	ROOT/ID/start.sock   the first process accepts here until it is started
//
// ROOT/ID itself carries the lock (flock): see package statedir. The record is
// written twice: as an intent, before anything of the container exists (Pid is
// 0), and complete, before the first process is let go. Whether the container
// is creating, created, running or stopped is not in it: the kernel knows.
//
// ROOT lies on a tmpfs that ends with the processes it tells of, so nothing is
// synced to a disk.
type record struct {
	Version int
	ID      string
	Created time.Time
	// Bundle is the OCI bundle's directory, if there is one.
	Bundle string `json:",omitempty"`
	// Cgroup is the path below each hierarchy's root.
	Cgroup      string
	Annotations map[string]string `json:",omitempty"`

	// Pid is trusted only with StartTime (field 22 of /proc/PID/stat).
	Pid       int    `json:",omitempty"`
	StartTime uint64 `json:",omitempty"`
	// Control and Listener are the inodes of the sockets the first process holds
	// as descriptors controlFD and listenFD above its ExtraFiles: both while it is
	// being created, the listener alone until it is started.
	Control, Listener uint64 `json:",omitempty"`
	ExtraFiles        int    `json:",omitempty"`
	// Steps explains the failure of a start.
	Steps stub.Table `json:",omitempty"`
	// Namespaces are the CLONE_NEW* flags of those the container does not share
	// with its creator: what Exec joins.
	Namespaces uint64 `json:",omitempty"`
	// UserNS says whether they include a user namespace; then the mappings are
	// its own.
	UserNS     bool                   `json:",omitempty"`
	UIDs, GIDs []specs.LinuxIDMapping `json:",omitempty"`
	// Filter applies to every process of the container; like Steps it is not part
	// of the intent, which nothing can be executed in.
	Filter *filter `json:",omitempty"`
	// OOMScoreAdj is what processes get, nil to inherit.
	OOMScoreAdj *int `json:",omitempty"`
	// Affinity is for processes that Exec runs.
	Affinity *specs.CPUAffinity `json:",omitempty"`
	// Poststart and Poststop are hooks that Start and Delete still have to run.
	Poststart, Poststop []specs.Hook `json:",omitempty"`
}

// filter is a compiled seccomp profile.
type filter struct {
	Program []byte // struct sock_filter, 8 bytes each
	Flags   uint
}

// parseRecord gives what it could read beside an error, too: a forced Delete has
// nothing better.
func parseRecord(b []byte) (*record, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return &r, fmt.Errorf("cannot read container record: %w", err)
	}
	if r.Version != recordVersion {
		return &r, fmt.Errorf("cannot read container record of version %d: this program knows version %d", r.Version, recordVersion)
	}
	return &r, nil
}
