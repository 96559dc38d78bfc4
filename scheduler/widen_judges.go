package scheduler

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime/image"
	"stack/spec"
)

// judge tells what of a change needs consent, as the ends of sentences that begin
// with the key.
type judge func(old, new any) []string

// free is a key that reaches nothing outside the container.
func free(_, _ any) []string { return nil }

// anyChange has every change wait, but for a key that goes.
func anyChange(old, new any) []string {
	v := reflect.ValueOf(new)
	if same(old, new) || !v.IsValid() || v.IsZero() {
		return nil
	}
	return []string{"would change"}
}

// everyChange has also one that goes wait: without it the container has more.
func everyChange(old, new any) []string {
	if same(old, new) {
		return nil
	}
	return []string{"would change"}
}

// same is DeepEqual to which nil and empty are one.
func same(old, new any) bool {
	a, b := reflect.ValueOf(old), reflect.ValueOf(new)
	if a.Kind() == reflect.Slice || a.Kind() == reflect.Map {
		if a.Len() == 0 && b.Len() == 0 {
			return true
		}
	}
	return reflect.DeepEqual(old, new)
}

func turnsOn(old, new any) []string {
	if new == true && old != true {
		return []string{"would be on"}
	}
	return nil
}

// gains is a list of which each entry gives something.
func gains(old, new any) []string {
	var out []string
	before, now := reflect.ValueOf(old), reflect.ValueOf(new)
	for i := range now.Len() {
		entry := now.Index(i).Interface()
		if !holds(before, entry) {
			out = append(out, "would get "+short(entry))
		}
	}
	return out
}

// loses is a list of which each entry takes something.
func loses(old, new any) []string {
	var out []string
	before, now := reflect.ValueOf(old), reflect.ValueOf(new)
	for i := range before.Len() {
		if entry := before.Index(i).Interface(); !holds(now, entry) {
			out = append(out, "would lose "+short(entry))
		}
	}
	return out
}

func holds(list reflect.Value, entry any) bool {
	for i := range list.Len() {
		if reflect.DeepEqual(list.Index(i).Interface(), entry) {
			return true
		}
	}
	return false
}

// short is an entry of a list for people.
func short(entry any) string {
	switch e := entry.(type) {
	case string:
		return e
	case types.DeviceMapping:
		return e.Source
	}
	return "another entry"
}

// joins is a namespace: those of the host and of other containers wait, a private
// one does not.
func joins(old, new any) []string {
	value, _ := new.(string)
	if old == new || value == "" || value == "private" || value == "none" || value == "shareable" {
		return nil
	}
	return []string{"would be " + value}
}

// networkMode is like a namespace; the default network is not the host's.
func networkMode(old, new any) []string {
	if new == "bridge" || new == "default" {
		return nil
	}
	return joins(old, new)
}

// lower is a number that protects from the host's want the lower it is.
func lower(old, new any) []string {
	before, _ := old.(int64)
	if now, _ := new.(int64); now < min(before, 0) {
		return []string{fmt.Sprintf("would be %d", now)}
	}
	return nil
}

// mounts: sources on the host, and what more may be done with those there are.
func mounts(old, new any) []string {
	before, _ := old.([]types.ServiceVolumeConfig)
	now, _ := new.([]types.ServiceVolumeConfig)
	var out []string
	for _, v := range now {
		if hostMount(v) && !slices.ContainsFunc(before, func(b types.ServiceVolumeConfig) bool { return covers(b, v) }) {
			how := ", writable"
			if v.ReadOnly {
				how = ""
			}
			out = append(out, "would mount "+v.Source+" at "+v.Target+how)
		}
	}
	return out
}

// hostMount reports whether a mount shows what is no volume, no image and no memory.
func hostMount(v types.ServiceVolumeConfig) bool {
	return v.Type != types.VolumeTypeVolume && v.Type != types.VolumeTypeTmpfs && v.Type != types.VolumeTypeImage
}

// covers reports whether a mount that is there gives all that another does.
func covers(had, v types.ServiceVolumeConfig) bool {
	return hostMount(had) && had.Type == v.Type && had.Source == v.Source && (v.ReadOnly || !had.ReadOnly) &&
		reflect.DeepEqual(had.Bind, v.Bind)
}

// published: ports of the host that the service has not, or for fewer to reach.
func published(old, new any) []string {
	before, _ := old.([]types.ServicePortConfig)
	now, _ := new.([]types.ServicePortConfig)
	var out []string
	for _, p := range now {
		has := slices.ContainsFunc(before, func(b types.ServicePortConfig) bool {
			return b.Published == p.Published && b.HostIP == p.HostIP && cmp.Or(b.Protocol, "tcp") == cmp.Or(p.Protocol, "tcp")
		})
		if !has {
			out = append(out, "would take "+strings.TrimPrefix(p.HostIP+":", ":")+cmp.Or(p.Published, "a free port")+" of the host")
		}
	}
	return out
}

// execs are commands run inside the container: with more than it has, or not.
func execs(old, new any) []string {
	before, _ := old.([]types.ServiceHook)
	now, _ := new.([]types.ServiceHook)
	var out []string
	for _, h := range now {
		if h.Privileged && !holds(reflect.ValueOf(before), h) {
			out = append(out, "would run a privileged command")
		}
	}
	return out
}

// developed: files of the host that are watched are copied into the container.
func developed(old, new any) []string {
	before, _ := old.(*types.DevelopConfig)
	now, _ := new.(*types.DevelopConfig)
	if now == nil {
		return nil
	}
	paths := map[string]bool{}
	var hooks []types.ServiceHook
	if before != nil {
		for _, t := range before.Watch {
			paths[t.Path], hooks = true, append(hooks, t.Exec)
		}
	}
	var out []string
	for _, t := range now.Watch {
		if !paths[t.Path] {
			out = append(out, "would watch "+t.Path)
		}
		out = append(out, execs(hooks, []types.ServiceHook{t.Exec})...)
	}
	return out
}

// deployed: devices are all that deploy can give.
func deployed(old, new any) []string {
	devices := func(v any) []types.DeviceRequest {
		d, _ := v.(*types.DeployConfig)
		if d == nil {
			return nil
		}
		var out []types.DeviceRequest
		for _, r := range []*types.Resource{d.Resources.Limits, d.Resources.Reservations} {
			if r != nil {
				out = append(out, r.Devices...)
			}
		}
		return out
	}
	return gains(devices(old), devices(new))
}

// built: what a build reads, and what it may do.
func built(old, new any) []string {
	now, _ := new.(*types.BuildConfig)
	if now == nil {
		return nil
	}
	before, _ := old.(*types.BuildConfig)
	if before == nil {
		before = &types.BuildConfig{}
	}
	w := &widening{}
	w.keys("", "", buildKeys(), reflect.ValueOf(*before), reflect.ValueOf(*now))
	var out []string
	for _, r := range w.found {
		out = append(out, r.Text)
	}
	return out
}

// extensions is x-stack of a service; what it cannot be read from has not passed the
// load, and waits.
func extensions(old, new any) []string {
	before, err1 := xstackOf(old)
	now, err2 := xstackOf(new)
	if err1 != nil || err2 != nil {
		return everyChange(old, new)
	}
	w := &widening{}
	w.keys("", "", xstackKeys(), reflect.ValueOf(before), reflect.ValueOf(now))
	var out []string
	for _, r := range w.found {
		out = append(out, r.Text)
	}
	return out
}

func xstackOf(v any) (spec.XStack, error) {
	e, _ := v.(types.Extensions)
	return spec.ServiceExtension(types.ServiceConfig{Extensions: e})
}

// followed are the paths of x-stack.watch.
func followed(old, new any) []string {
	before, _ := old.(*spec.Watch)
	now, _ := new.(*spec.Watch)
	if now == nil {
		return nil
	}
	var out []string
	for _, rule := range now.Rules {
		had := before != nil && slices.ContainsFunc(before.Rules, func(b spec.WatchRule) bool { return b.Path == rule.Path })
		if !had {
			out = append(out, "would watch "+rule.Path)
		}
	}
	return out
}

// isHostImage reports whether a reference names a place of this machine.
func isHostImage(ref string) bool { return ref != "" && !image.IsRegistry(ref) }
