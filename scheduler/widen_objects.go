package scheduler

import (
	"maps"
	"reflect"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// turnsOff is a key whose being on holds something in.
func turnsOff(old, new any) []string {
	if old == true && new != true {
		return []string{"would be off"}
	}
	return nil
}

// driver is a key that may name what is meant without it.
func driver(usual string) judge {
	return func(old, new any) []string {
		if new == "" || new == usual {
			return nil
		}
		return everyChange(old, new)
	}
}

// volumes: those that go lose data, and those that come may be places of the host, or
// somebody else's by their name.
func (w *widening) volumes() {
	for _, key := range slices.Sorted(maps.Keys(w.old.Volumes)) {
		if _, stays := w.new.Volumes[key]; !stays {
			w.add("", "volume %s would be gone from the stack", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(w.new.Volumes)) {
		before, known := w.old.Volumes[key]
		now := w.new.Volumes[key]
		if name := VolumeName(w.new.Project, key); known && VolumeName(w.old.Project, key) != name || !known && name != w.new.Name+"_"+key {
			w.add("", "volume %s would be %s", key, name)
		}
		if !known {
			before = types.VolumeConfig{}
		}
		w.keys("", "volume "+key+": ", volumeKeys(), reflect.ValueOf(before), reflect.ValueOf(now))
	}
}

// networks: those of others, and the way out of an internal one.
func (w *widening) networks() {
	for _, key := range slices.Sorted(maps.Keys(w.new.Networks)) {
		before, known := w.old.Networks[key]
		now := w.new.Networks[key]
		if name := NetworkName(w.new.Project, key); known && NetworkName(w.old.Project, key) != name || !known && name != w.new.Name+"_"+key {
			w.add("", "network %s would be %s", key, name)
		}
		if !known {
			before = types.NetworkConfig{}
		}
		w.keys("", "network "+key+": ", networkKeys(), reflect.ValueOf(before), reflect.ValueOf(now))
	}
}
