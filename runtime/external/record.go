package external

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// recordVersion changes when an older program could not act on a newer record.
const recordVersion = 1

// record is what is kept of a container, as JSON. Its directory is also the OCI
// bundle that the other runtime is given:
//
//	ROOT/ID/record.json    0600, replaced by rename; ROOT/ID itself carries the lock
//	ROOT/ID/config.json    the specification as the program gets it
//	ROOT/ID/oci/           the program's own --root, of this container alone
//	ROOT/ID/pid            its pid file
//	ROOT/ID/creating       pid and start time of a `create` under way
//	ROOT/ID/report         FIFO from the launcher to whoever starts
//	ROOT/ID/started        empty; Start was successful
//	ROOT/ID/paused         empty; Pause was the last of Pause and Resume
//	ROOT/ID/deleting       empty; a forced delete waits for the lock or has it
//	ROOT/ID/job-N/         files of one command under way: messages, pid file
//
// The record is written twice, as the native runtime's: as an intent (Pid is 0), and
// complete, before the container may be started.
type record struct {
	Version int
	ID      string
	Created time.Time
	// Program is the path of the runtime that has the container.
	Program string
	Bundle  string `json:",omitempty"`
	// Cgroup is the path below each hierarchy's root.
	Cgroup      string
	Annotations map[string]string `json:",omitempty"`
	// Pid is trusted only with StartTime.
	Pid       int    `json:",omitempty"`
	StartTime uint64 `json:",omitempty"`
	// UserNS says whether the container has or joins a user namespace; then the
	// mappings are its own.
	UserNS     bool                   `json:",omitempty"`
	UIDs, GIDs []specs.LinuxIDMapping `json:",omitempty"`
	// Launched says that the program executes a launcher, which Steps explains.
	Launched bool            `json:",omitempty"`
	Steps    json.RawMessage `json:",omitempty"`
}

const (
	recordName   = "record.json"
	configName   = "config.json"
	stateName    = "oci"
	logName      = "log"
	consoleName  = "console.sock"
	pidName      = "pid"
	creatingName = "creating"
	reportName   = "report"
	startedName  = "started"
	pausedName   = "paused"
	deletingName = "deleting"
	processName  = "process.json"
)

func parseRecord(b []byte) (*record, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("cannot read container record: %w", err)
	}
	if r.Version != recordVersion {
		return nil, fmt.Errorf("cannot read container record of version %d: this program knows version %d", r.Version, recordVersion)
	}
	return &r, nil
}
