package scheduler

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/spec"
)

// Who can write a stack's folder, a container with a bind mount of it say, can edit
// what runs as the stack. A live edit may therefore rearrange what the stack was
// given, but gives it nothing more of the host, and destroys no data: such an edit
// waits for a person.
//
// Every key of the specification is judged, by the tables of widen_keys.go: a key
// that is missing there waits for a person however it changes. What frees an edit is
// that the key reaches nothing outside the container, or that it gives something up.

// Reason is one thing that an edit would give to a stack, or destroy.
type Reason struct {
	// Service is empty for what is about the whole stack.
	Service string `json:",omitempty"`
	Text    string
}

// String is the reason as people see it.
func (r Reason) String() string {
	if r.Service == "" {
		return r.Text
	}
	return "service " + r.Service + ": " + r.Text
}

// Widens tells what an edit from old to new needs a person's consent for; nothing for
// one that may be carried out at once. It is pure: where files lie is what the load
// of each found.
func Widens(old, new *spec.Stack) []Reason {
	w := &widening{old: old, new: new}
	for _, name := range slices.Sorted(maps.Keys(new.Services)) {
		w.service(name)
	}
	w.volumes()
	w.networks()
	w.files()
	return w.found
}

type widening struct {
	old, new *spec.Stack
	found    []Reason
}

func (w *widening) add(service, format string, args ...any) {
	w.found = append(w.found, Reason{service, fmt.Sprintf(format, args...)})
}

func (w *widening) service(name string) {
	now := w.new.Services[name]
	before, known := w.old.Services[name]
	at := len(w.found)
	w.keys(name, "", serviceKeys(), reflect.ValueOf(before), reflect.ValueOf(now))
	for n, hook := range now.PreStart {
		var was types.PreStartHook // one that the service has not yet may do what the service may
		was.ContainerSpec = before.ContainerSpec
		if n < len(before.PreStart) {
			was = before.PreStart[n]
		}
		w.keys(name, fmt.Sprintf("pre_start[%d].", n), serviceKeys(), reflect.ValueOf(was), reflect.ValueOf(hook))
	}
	w.references(name, now)
	if len(w.found) == at && HostUserNS(w.new.Project, now) && (!known || w.differs(name)) {
		w.add(name, "it runs with the host's root, and what it runs would change")
	}
}

// differs reports whether the service, or the content of its configs, is another one.
func (w *widening) differs(name string) bool {
	before, err1 := w.old.Hash(name)
	now, err2 := w.new.Hash(name)
	return err1 != nil || err2 != nil || before != now
}

// keys judges the fields of two structs of one type, by the key of each.
func (w *widening) keys(service, prefix string, table map[string]judge, old, new reflect.Value) {
	for i := range new.NumField() {
		field := new.Type().Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case !field.IsExported():
		case field.Anonymous && strings.Contains(options, "inline"):
			w.keys(service, prefix, table, old.Field(i), new.Field(i))
		default:
			j, ok := table[keyOf(field.Name, name)]
			if !ok {
				j = anyChange
			}
			for _, what := range j(old.Field(i).Interface(), new.Field(i).Interface()) {
				w.add(service, "%s%s %s", prefix, keyOf(field.Name, name), what)
			}
		}
	}
}

// keyOf is the name of a field in a stack file; those that are not written there have
// that of Go.
func keyOf(field, tag string) string {
	if tag == "" || tag == "-" || strings.HasPrefix(tag, "#") {
		return field
	}
	return tag
}

// references are the images, own and mounted, that are directories and archives of
// this machine: like bind sources, they show the host to the container.
func (w *widening) references(name string, now types.ServiceConfig) {
	had := hostImages(w.old.Services)
	for _, ref := range imagesOf(now) {
		if isHostImage(ref) && !slices.Contains(had, ref) {
			w.add(name, "image %s is a part of this machine that no service has", ref)
		}
	}
}

func hostImages(services types.Services) []string {
	var out []string
	for _, s := range services {
		out = append(out, imagesOf(s)...)
	}
	return slices.DeleteFunc(out, func(ref string) bool { return !isHostImage(ref) })
}

// imagesOf are the references of the images that a service uses.
func imagesOf(s types.ServiceConfig) []string {
	specs := []types.ContainerSpec{s.ContainerSpec}
	for _, h := range s.PreStart {
		specs = append(specs, h.ContainerSpec)
	}
	var out []string
	for _, c := range specs {
		out = append(out, c.Image)
		for _, v := range c.Volumes {
			if v.Type == types.VolumeTypeImage {
				out = append(out, v.Source)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// files are those outside the stack's folder.
func (w *widening) files() {
	had := w.old.Outside()
	for _, path := range w.new.Outside() {
		if !slices.Contains(had, path) {
			w.add("", "file %s lies outside the stack's folder", path)
		}
	}
	for _, f := range w.old.Sources {
		for _, now := range w.new.Sources {
			if now.Path == f.Path && now.Real != f.Real && !spec.Within(w.new.Home(), now.Real) {
				w.add("", "%s leads to %s now", f.Path, now.Real)
			}
		}
	}
}
