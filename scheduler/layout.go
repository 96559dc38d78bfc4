package scheduler

import (
	"os"
	"path/filepath"
	"strconv"
)

// Layout is where state lives:
//
//	RUN/PROJECT/                      sockets, pids, container state (tmpfs)
//	RUN/PROJECT/containers/ID/        the runtime's record
//	RUN/PROJECT/machines/ID/          what makes it a virtual machine (package vm)
//	RUN/PROJECT/instances/ID/         streams, exit.json, process.json
//	LIB/projects/PROJECT/wish.json    what people asked for
//	LIB/projects/PROJECT/instances/   one file a container
//	LIB/projects/PROJECT/revisions/   one file a service
//	LIB/projects/PROJECT/layers/ID/   upper and work directories, container.json
//	LIB/projects/PROJECT/logs/        ID.log, ID.log.1, …
//	LIB/projects/PROJECT/events.jsonl journal
//	LIB/networks/ID/                  host-wide networks (package netns)
//	LIB/volumes/NAME/                 volume.json, _data/
//	LIB/images/                       image store (package image)
//	LIB/vm/                           kernels of virtual machines (package vm/kernel)
//	LIB/subids.json                   id range of each project
type Layout struct {
	Run, Lib string
}

// NewLayout places state by the rules of the README: STACK_ROOT moves all of it,
// root has /run/stack and /var/lib/stack, others the XDG directories. It never
// depends on HOME.
func NewLayout(getenv func(string) string, uid int) Layout {
	if root := getenv("STACK_ROOT"); root != "" {
		if abs, err := filepath.Abs(root); err == nil {
			root = abs
		}
		return Layout{Run: filepath.Join(root, "run"), Lib: filepath.Join(root, "lib")}
	}
	if uid == 0 {
		return Layout{Run: "/run/stack", Lib: "/var/lib/stack"}
	}
	id := strconv.Itoa(uid)
	run, lib := getenv("XDG_RUNTIME_DIR"), getenv("XDG_DATA_HOME")
	if run == "" {
		run = filepath.Join(os.TempDir(), "stack-"+id)
	}
	if lib == "" {
		lib = filepath.Join("/var/tmp", "stack-"+id)
	}
	return Layout{Run: filepath.Join(run, "stack"), Lib: filepath.Join(lib, "stack")}
}

func (l Layout) Networks() string { return filepath.Join(l.Lib, "networks") }
func (l Layout) Volumes() string  { return filepath.Join(l.Lib, "volumes") }
func (l Layout) Images() string   { return filepath.Join(l.Lib, "images") }
func (l Layout) VM() string       { return filepath.Join(l.Lib, "vm") }
func (l Layout) projects() string { return filepath.Join(l.Lib, "projects") }

// RunDir is the project's directory of sockets and container state.
func (s *Store) RunDir() string { return filepath.Join(s.Layout.Run, s.Project) }

// Containers is the runtime's root.
func (s *Store) Containers() string { return filepath.Join(s.RunDir(), "containers") }

// ForeignContainers is that of the containers that another OCI runtime has.
func (s *Store) ForeignContainers() string { return filepath.Join(s.RunDir(), "foreign") }

// Machines is the directory of virtual machines' records.
func (s *Store) Machines() string { return filepath.Join(s.RunDir(), "machines") }

// InstanceDir holds a container's streams, exit record and program.
func (s *Store) InstanceDir(id string) string { return filepath.Join(s.RunDir(), "instances", id) }

// ExitPath is where the shim records the end of a container.
func (s *Store) ExitPath(id string) string { return filepath.Join(s.InstanceDir(id), "exit.json") }

// LogPath is a container's current log file.
func (s *Store) LogPath(id string) string { return filepath.Join(s.logs(), id+".log") }

// LayerDir holds a container's writable layer: upper, work and those of further overlays.
func (s *Store) LayerDir(id string) string { return filepath.Join(s.dir(), "layers", id) }

// EventsPath is the project's journal.
func (s *Store) EventsPath() string { return filepath.Join(s.dir(), "events.jsonl") }

// WatchDirs are the directories in which a change tells of a change of instances.
func (s *Store) WatchDirs() []string { return []string{s.instances()} }

func (s *Store) processPath(id string) string {
	return filepath.Join(s.InstanceDir(id), "process.json")
}

func (s *Store) dir() string       { return filepath.Join(s.Layout.projects(), s.Project) }
func (s *Store) logs() string      { return filepath.Join(s.dir(), "logs") }
func (s *Store) instances() string { return filepath.Join(s.dir(), "instances") }

// WishPath is the file of what people asked for.
func (s *Store) WishPath() string { return s.wish() }

func (s *Store) wish() string { return filepath.Join(s.dir(), "wish.json") }
