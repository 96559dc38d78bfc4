package scheduler

import (
	"context"
	"fmt"
	"slices"
	"time"

	"stack/runtime"
)

// stater is what Neighbour needs of a project's runtime.
type stater interface {
	State(ctx context.Context, id string) (runtime.State, error)
}

// Neighbour is a running container of this project as a container of another one,
// which joins its namespaces, sees it. ok is false when it has none of that name or
// ID. The joining container uses this project's ids; it is not told when the other
// one is replaced.
func (s *Store) Neighbour(ctx context.Context, rt stater, container string) (p Peer, ok bool, err error) {
	list, err := s.Current(time.Now())
	if err != nil {
		return Peer{}, false, err
	}
	at := slices.IndexFunc(list, func(i *Instance) bool { return i.Name == container || i.ID == container })
	if at < 0 {
		return Peer{}, false, nil
	}
	i := list[at]
	if i.State != StateRunning && i.State != StatePaused {
		return Peer{}, true, fmt.Errorf("container %s is not running", container)
	}
	d, err := s.LoadDetails(i.ID)
	if err == nil && isMachine(d.Service) {
		err = fmt.Errorf("container %s is a virtual machine", container)
	}
	if err != nil {
		return Peer{}, true, err
	}
	st, err := rt.State(ctx, i.ID)
	if err != nil {
		return Peer{}, true, fmt.Errorf("cannot join container %s: %w", container, err)
	}
	if st.Pid <= 0 {
		return Peer{}, true, fmt.Errorf("container %s is not running", container)
	}
	p = Peer{Pid: st.Pid, StartTime: st.StartTime}
	if d.Service.Ipc != "none" {
		p.Shm = fmt.Sprintf("/proc/%d/root/dev/shm", st.Pid)
	}
	if st.UserNS {
		ids, err := s.AllocateIDs()
		if err != nil {
			return Peer{}, true, err
		}
		p.UserNS, p.IDs = i.ID, &ids
	}
	return p, true, nil
}
