package infer

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// Rule is an inferred item of develop.watch.
type Rule struct {
	types.Trigger
	// Why is what it was inferred from.
	Why string
	// Bind says that the container has the file mounted.
	Bind bool
	// Recipe says that the other rules were inferred from the file.
	Recipe bool
}

// Rules are those of a service that wrote none, or not for all of its files; explicit
// are the paths that it wrote rules for.
func Rules(p *types.Project, s types.ServiceConfig, explicit []string) ([]Rule, error) {
	in := inference{project: p, service: s, command: s.Command}
	if len(s.Entrypoint) > 0 {
		in.command = slices.Concat(s.Entrypoint, s.Command)
	}
	rules, err := in.build()
	if err != nil {
		return nil, fmt.Errorf("cannot infer what to watch: %w", err)
	}
	rules = append(rules, in.binds()...)
	rules = slices.DeleteFunc(rules, func(r Rule) bool {
		return slices.ContainsFunc(explicit, func(e string) bool { return below(e, r.Path) })
	})
	return distinct(rules), nil
}

// inference is one service under inference.
type inference struct {
	project *types.Project
	service types.ServiceConfig
	command []string // what runs in the container, as far as is known
}

// distinct drops rules that say what another does.
func distinct(rules []Rule) []Rule {
	var out []Rule
	for _, r := range rules {
		same := func(o Rule) bool {
			return o.Path == r.Path && o.Target == r.Target && o.Action == r.Action && slices.Equal(o.Include, r.Include)
		}
		if !slices.ContainsFunc(out, same) {
			out = append(out, r)
		}
	}
	return out
}

// act is what a change of a file that was only copied asks for.
func (in *inference) act() types.WatchAction {
	if followsFiles(in.command) {
		return types.WatchActionSync
	}
	return types.WatchActionSyncRestart
}

// hidden is the mount that covers a path of the container.
func (in *inference) hidden(target string) (string, bool) {
	for _, v := range in.service.Volumes {
		if below(v.Target, target) {
			return v.Target, true
		}
	}
	return "", false
}

// mountsBelow are the names below target where something is mounted.
func (in *inference) mountsBelow(target string) []string {
	var out []string
	for _, v := range in.service.Volumes {
		if v.Target != target && below(target, v.Target) {
			out = append(out, escape(strings.TrimPrefix(path.Clean(v.Target), strings.TrimSuffix(target, "/")+"/")))
		}
	}
	return out
}

// ownFiles are the stack's files below dir: who edits them changes the stack.
func (in *inference) ownFiles(dir string) []string {
	var out []string
	for _, f := range in.project.ComposeFiles {
		if name, err := filepath.Rel(dir, f); err == nil && filepath.IsLocal(name) && name != "." {
			out = append(out, escape(name))
		}
	}
	return out
}

// below reports whether name is dir or lies in it.
func below(dir, name string) bool {
	dir, name = path.Clean(dir), path.Clean(name)
	return dir == name || dir == "/" || strings.HasPrefix(name, dir+"/")
}

// escape takes a name as a pattern for itself.
func escape(name string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "!", `\!`).Replace(name)
}

// String is the rule as people see it, with paths as seen from dir.
func (r Rule) String(dir string) string {
	from := r.Path
	if name, err := filepath.Rel(dir, r.Path); err == nil && filepath.IsLocal(name) {
		from = "./" + name
		if name == "." {
			from = "."
		}
	}
	if len(r.Include) > 0 {
		from = path.Join(from, strings.Join(r.Include, ", "))
		if !filepath.IsAbs(from) {
			from = "./" + from
		}
	}
	if r.Target != "" {
		from += " → " + r.Target
	}
	return fmt.Sprintf("%s: %s (%s)", from, r.Action, r.Why)
}
