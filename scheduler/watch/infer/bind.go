package infer

import (
	"os"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/scheduler/watch"
)

// binds are the rules for what is mounted: a program is restarted for the new files,
// which it has already.
func (in *inference) binds() []Rule {
	if followsFiles(in.command) {
		return nil
	}
	var out []Rule
	for _, v := range in.service.Volumes {
		if v.Type != types.VolumeTypeBind || !in.ours(v.Source) || holdsData(v.Target) {
			continue
		}
		info, err := os.Stat(v.Source)
		if err != nil || !info.IsDir() && !info.Mode().IsRegular() {
			continue
		}
		r := Rule{Bind: true, Why: "mounted at " + v.Target,
			Trigger: types.Trigger{Path: v.Source, Action: types.WatchActionRestart}}
		if info.IsDir() {
			r.Ignore = slices.Concat(in.ownFiles(v.Source), in.mountsBelow(v.Target))
		}
		out = append(out, r)
	}
	return out
}

// ours reports whether a path belongs to the project: to its directory, or to the
// repository that it lies in.
func (in *inference) ours(name string) bool {
	return below(watch.Repository(in.project.WorkingDir), name)
}

// holdsData reports whether programs keep there what they write: to restart them for
// it would have no end.
func holdsData(target string) bool {
	for _, dir := range []string{"/var/lib", "/var/log", "/var/cache", "/var/run", "/var/spool", "/run", "/tmp", "/dev", "/proc", "/sys"} {
		if below(dir, target) {
			return true
		}
	}
	return slices.ContainsFunc(strings.Split(path.Clean(target), "/"), func(part string) bool {
		return slices.Contains([]string{"data", "logs", "log", "cache", ".cache", "tmp", "uploads", "node_modules"}, part)
	})
}
