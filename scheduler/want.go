package scheduler

import (
	"fmt"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/spec"
)

// Want is a Wish made ready for planning: what costs more than a look-up is
// computed once a command, not once a turn of the loop.
type Want struct {
	Wish
	Graph  *Graph
	Hashes map[string]string // service → configuration hash
	// Recreates are the hashes of what a container cannot change, by service.
	Recreates map[string]string
	// Once are the services that do not run again unchanged, Schedules when others are
	// to run.
	Once      map[string]bool
	Schedules map[string]spec.Schedule
	timeless  bool              // what is to come by schedule is not looked at
	Networks  map[string]Object // by key; those that wished services use
	Volumes   map[string]Object // by key
}

// Object is a network or volume as declared.
type Object struct {
	Key, Name string
	Hash      string
	External  bool
}

// NewWant prepares w. It fails on a dependency cycle.
func NewWant(w Wish) (Want, error) {
	want := Want{Wish: w, Hashes: map[string]string{}, Recreates: map[string]string{}, Networks: map[string]Object{}, Volumes: map[string]Object{},
		Once: map[string]bool{}, Schedules: map[string]spec.Schedule{}}
	if w.Stack == nil {
		w.Stack = &spec.Stack{Project: &types.Project{}}
		want.Stack = w.Stack
	}
	g, err := NewGraph(w.Stack.Project)
	if err != nil {
		return Want{}, err
	}
	want.Graph = g
	for name := range w.Stack.Services {
		if want.Hashes[name], err = w.Stack.Hash(name); err != nil {
			return Want{}, fmt.Errorf("cannot hash service %q: %w", name, err)
		}
		if want.Recreates[name], err = w.Stack.RecreateHash(name); err != nil {
			return Want{}, fmt.Errorf("cannot hash service %q: %w", name, err)
		}
	}
	for name, svc := range w.Stack.Services {
		x, err := spec.ServiceExtension(svc)
		if err != nil {
			return Want{}, err
		}
		want.Once[name], want.Schedules[name] = x.Once, w.Stack.Schedule(name)
	}
	for name, sw := range w.Services {
		svc, ok := w.Stack.Services[name]
		if ok && sw.Goal.has() {
			want.addObjects(svc)
		}
	}
	return want, nil
}

func (w *Want) addObjects(svc types.ServiceConfig) {
	for step := range svc.PreStart {
		w.addObjects(hookService(svc, step))
	}
	for _, key := range attachments(svc) {
		n := w.Stack.Networks[key]
		w.Networks[key] = Object{Key: key, Name: NetworkName(w.Stack.Project, key), Hash: NetworkHash(n), External: bool(n.External)}
	}
	for _, v := range svc.Volumes {
		if v.Type != types.VolumeTypeVolume || v.Source == "" {
			continue
		}
		c, ok := w.Stack.Volumes[v.Source]
		if ok {
			w.Volumes[v.Source] = Object{Key: v.Source, Name: VolumeName(w.Stack.Project, v.Source), Hash: VolumeHash(c), External: bool(c.External)}
		}
	}
}

// containerName is the name of replica number of a service.
func containerName(project string, svc types.ServiceConfig, number int) string {
	if svc.ContainerName != "" {
		return svc.ContainerName
	}
	return project + "-" + svc.Name + "-" + strconv.Itoa(number)
}
