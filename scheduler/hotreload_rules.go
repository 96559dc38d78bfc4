package scheduler

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/scheduler/watch"
	"stack/scheduler/watch/infer"
	"stack/spec"
)

// reloadRule is one item of develop.watch or x-stack.watch, or an inferred one.
type reloadRule struct {
	types.Trigger
	signal string // in the place of a restart
	// why is set of inferred rules; bind says that it is about a bind mount.
	why  string
	bind bool
	// recipe says that other rules were inferred from the file.
	recipe bool
	root   watch.Root
	// base is the host's directory that names are relative to, target the
	// container's; as is the name there when the rule is about one file.
	base, target, as string
}

func (r reloadRule) syncs() bool    { return strings.HasPrefix(string(r.Action), "sync") }
func (r reloadRule) restarts() bool { return strings.HasSuffix(string(r.Action), "restart") }
func (r reloadRule) rebuilds() bool { return r.Action == types.WatchActionRebuild }
func (r reloadRule) executes() bool { return r.Action == types.WatchActionSyncExec }

// Watched are the services of names, or of the whole stack, that have files watched.
func Watched(st *spec.Stack, names []string) ([]string, error) {
	rules, err := watchRules(st, names)
	var out []string
	for name := range rules {
		out = append(out, name)
	}
	slices.Sort(out)
	return out, err
}

// watchRules are the rules by service, of those that have some.
func watchRules(st *spec.Stack, names []string) (map[string][]reloadRule, error) {
	out := map[string][]reloadRule{}
	for name, s := range st.Services {
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		rules, err := reloadRules(st.Project, s)
		if err != nil {
			return nil, fmt.Errorf("service %q: %w", name, err)
		}
		if len(rules) > 0 {
			out[name] = rules
		}
	}
	return out, nil
}

// reloadRules are the rules that a service has, or that are inferred: where it asks
// for that, and where it says nothing.
func reloadRules(p *types.Project, s types.ServiceConfig) ([]reloadRule, error) {
	x, err := spec.ServiceExtension(s)
	if err != nil {
		return nil, err
	}
	out := writtenRules(p, s, x)
	asked := x.Watch != nil && x.Watch.Auto
	if !asked && (x.Watch != nil || s.Develop != nil) {
		return out, nil
	}
	var explicit []string
	for _, r := range out {
		explicit = append(explicit, r.Path)
	}
	inferred, err := infer.Rules(p, s, explicit)
	if err != nil && asked {
		return nil, err
	}
	for _, i := range inferred {
		r := newRule(s, i.Trigger)
		r.why, r.bind, r.recipe, r.root.Git = i.String(p.WorkingDir), i.Bind, i.Recipe, true
		out = append(out, r)
	}
	return out, nil
}

func writtenRules(p *types.Project, s types.ServiceConfig, x spec.XStack) []reloadRule {
	var out []reloadRule
	if s.Develop != nil {
		for _, t := range s.Develop.Watch {
			out = append(out, newRule(s, t))
		}
	}
	if x.Watch == nil {
		return out
	}
	for _, w := range x.Watch.Rules {
		t := types.Trigger{Path: spec.Absolute(p.WorkingDir, w.Path), Target: w.Target, Action: types.WatchAction(w.Action),
			Ignore: w.Ignore, Include: w.Include, InitialSync: w.InitialSync}
		r := newRule(s, t)
		r.signal = w.Signal
		out = append(out, r)
	}
	return out
}

func newRule(s types.ServiceConfig, t types.Trigger) reloadRule {
	target := t.Target
	if !path.IsAbs(target) {
		target = path.Join("/", s.WorkingDir, target)
		if strings.HasSuffix(t.Target, "/") {
			target += "/"
		}
	}
	return reloadRule{Trigger: t, base: t.Path, target: target, root: watch.Root{
		Path: t.Path, Include: t.Include, Ignore: []watch.Patterns{{Dir: t.Path, Lines: t.Ignore}},
	}}
}

func sameRules(a, b []reloadRule) bool { return reflect.DeepEqual(a, b) }

// settle looks at the host: a rule may be about one file, which no ignore file takes
// away from it, and .dockerignore files say what is no part of the service.
func (r *reloadRule) settle(p *types.Project, s types.ServiceConfig) error {
	info, err := os.Stat(r.Path)
	if err != nil {
		return fmt.Errorf("cannot watch: %w", err)
	}
	if !info.IsDir() {
		r.base = filepath.Dir(r.Path)
		if !strings.HasSuffix(r.target, "/") {
			r.target, r.as = path.Split(r.target)
		}
		r.root.Ignore, r.root.Git = nil, false
		return nil
	}
	r.root.Ignore = slices.Clone(r.root.Ignore)
	for dir, files := range ignoreFiles(p, s, r.base) {
		ignore, err := watch.DockerIgnore(dir, files...)
		if err != nil {
			return err
		}
		r.root.Ignore = append(r.root.Ignore, ignore)
	}
	return nil
}

// ignoreFiles are the directories that have .dockerignore files about base, with what
// takes the place of one: a Dockerfile's own.
func ignoreFiles(p *types.Project, s types.ServiceConfig, base string) map[string][]string {
	out := map[string][]string{base: nil}
	if s.Build == nil || !filepath.IsAbs(s.Build.Context) {
		out[p.WorkingDir] = nil
		return out
	}
	own := spec.Absolute(s.Build.Context, cmp.Or(s.Build.Dockerfile, "Dockerfile"))
	out[s.Build.Context] = []string{own + ".dockerignore"}
	return out
}
