package scheduler

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

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
	p, err = s.peerOf(ctx, rt, i.ID, "container "+container, d.Service, i.ID)
	return p, true, err
}

// peerOf is a container of svc whose record has it running, as who joins its namespaces
// sees it: the user namespace is owner's. It may have ended meanwhile.
func (s *Store) peerOf(ctx context.Context, rt stater, id, name string, svc types.ServiceConfig, owner string) (Peer, error) {
	st, err := rt.State(ctx, id)
	if err != nil {
		return Peer{}, fmt.Errorf("cannot join %s: %w", name, err)
	}
	if st.Pid <= 0 {
		return Peer{}, fmt.Errorf("%s is not running", name)
	}
	p := Peer{Pid: st.Pid, StartTime: st.StartTime}
	if svc.Ipc != "none" {
		p.Shm = fmt.Sprintf("/proc/%d/root/dev/shm", st.Pid)
	}
	if st.UserNS {
		ids, err := s.AllocateIDs()
		if err != nil {
			return Peer{}, err
		}
		p.UserNS, p.IDs = owner, &ids
	}
	return p, nil
}
