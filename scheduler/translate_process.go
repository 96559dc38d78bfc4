package scheduler

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func (t *translator) process() error {
	p := t.spec.Process
	p.Terminal = t.s.Tty
	p.Args = t.args()
	if len(p.Args) == 0 {
		return errors.New("no command: neither the service nor its image has one")
	}
	p.Cwd = path.Clean(cmp.Or(t.s.WorkingDir, t.in.Image.Config.WorkingDir, "/"))
	if !path.IsAbs(p.Cwd) {
		return fmt.Errorf("working directory %q is not an absolute path", p.Cwd)
	}
	p.Env = t.env()
	if t.s.OomScoreAdj < -1000 || t.s.OomScoreAdj > 1000 {
		return fmt.Errorf("oom_score_adj %d is not between -1000 and 1000", t.s.OomScoreAdj)
	}
	// Always set: the shim's own must not be inherited.
	p.OOMScoreAdj = new(int(t.s.OomScoreAdj))
	t.stopSettings()
	if err := t.user(); err != nil {
		return err
	}
	return t.ulimits()
}

func (t *translator) stopSettings() {
	t.out.StdinOpen = t.s.StdinOpen
	t.out.StopSignal = cmp.Or(t.s.StopSignal, t.in.Image.Config.StopSignal, "SIGTERM")
	t.out.StopGrace = 10 * time.Second
	if t.s.StopGracePeriod != nil {
		t.out.StopGrace = time.Duration(*t.s.StopGracePeriod)
	}
}

// args merges as Docker does: a service's own entrypoint discards the image's
// command along with its entrypoint. An empty entrypoint (`[]`) discards only the
// entrypoint, an empty command only the command.
func (t *translator) args() []string {
	entrypoint, command := t.s.Entrypoint, t.s.Command
	if len(entrypoint) == 0 && command == nil {
		command = t.in.Image.Config.Cmd
	}
	if entrypoint == nil {
		entrypoint = t.in.Image.Config.Entrypoint
	}
	return slices.Concat([]string(entrypoint), []string(command))
}

// env is, each overriding the one before: what every container gets, the image's,
// the service's. A variable without value in the file removes the image's.
func (t *translator) env() []string {
	e := envList{}
	e.set("PATH", defaultPath)
	e.set("HOSTNAME", t.out.Hostname)
	if t.s.Tty {
		e.set("TERM", "xterm")
	}
	for _, kv := range t.in.Image.Config.Env {
		if k, v, ok := strings.Cut(kv, "="); ok {
			e.set(k, v)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(t.s.Environment)) {
		if v := t.s.Environment[k]; v != nil {
			e.set(k, *v)
		} else {
			e.unset(k)
		}
	}
	if !e.has("HOME") {
		e.set("HOME", cmp.Or(t.in.Home, "/"))
	}
	return e
}

// envList is an environment in the order of first mention.
type envList []string

func (e *envList) at(key string) int {
	return slices.IndexFunc(*e, func(kv string) bool { return strings.HasPrefix(kv, key+"=") })
}

func (e *envList) has(key string) bool { return e.at(key) >= 0 }

func (e *envList) set(key, value string) {
	if i := e.at(key); i >= 0 {
		(*e)[i] = key + "=" + value
	} else {
		*e = append(*e, key+"="+value)
	}
}

func (e *envList) unset(key string) {
	if i := e.at(key); i >= 0 {
		*e = slices.Delete(*e, i, i+1)
	}
}

func (t *translator) user() error {
	u := t.in.User
	u.AdditionalGids = slices.Clone(u.AdditionalGids)
	for _, g := range t.s.GroupAdd {
		gid, err := t.group(g)
		if err != nil {
			return err
		}
		if !slices.Contains(u.AdditionalGids, gid) {
			u.AdditionalGids = append(u.AdditionalGids, gid)
		}
	}
	if t.s.Umask != nil {
		u.Umask = t.s.Umask
	}
	for _, id := range append([]uint32{u.UID, u.GID}, u.AdditionalGids...) {
		if t.ids != nil && id >= t.ids.Size {
			return fmt.Errorf("id %d lies outside the container's user namespace of %d ids (userns_mode: host lifts this)", id, t.ids.Size)
		}
	}
	t.spec.Process.User = u
	return nil
}

func (t *translator) group(name string) (uint32, error) {
	if gid, ok := t.in.Groups[name]; ok {
		return gid, nil
	}
	gid, err := strconv.ParseUint(name, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("group %q of group_add is not in the image", name)
	}
	return uint32(gid), nil
}

func (t *translator) ulimits() (err error) {
	t.spec.Process.Rlimits, err = rlimits(t.s.Ulimits)
	return err
}

func rlimits(wanted map[string]*types.UlimitsConfig) (out []specs.POSIXRlimit, err error) {
	known := []string{"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile",
		"nproc", "rss", "rtprio", "rttime", "sigpending", "stack"}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		u := wanted[name]
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("ulimit %q is not known", name)
		}
		if u == nil {
			return nil, fmt.Errorf("ulimit %q has no value", name)
		}
		l := specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(name), Soft: rlimit(u.Soft), Hard: rlimit(u.Hard)}
		if u.Single != 0 {
			l.Soft, l.Hard = rlimit(u.Single), rlimit(u.Single)
		}
		if l.Soft > l.Hard {
			return nil, fmt.Errorf("ulimit %q: soft limit %d is above the hard limit %d", name, u.Soft, u.Hard)
		}
		out = append(out, l)
	}
	return out, nil
}

// rlimit reads -1 as unlimited.
func rlimit(n int) uint64 {
	if n < 0 {
		return math.MaxUint64
	}
	return uint64(n)
}
