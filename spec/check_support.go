package spec

import (
	"fmt"
	"strings"

	"github.com/compose-spec/compose-go/v2/tree"
)

// checkSupport: every key that is used does something, or says that it does not.
// Services and jobs that do not take part are not looked at.
func checkSupport(m *model, r *report) {
	root := newSupport()
	m.root.each(func(name string, v *value) {
		if name != "services" && name != "jobs" {
			root.member(r, name, v)
		}
	})
	services, jobs := root.step("services"), root.step("jobs")
	for _, s := range m.used() {
		if s.job {
			jobs.member(r, s.name, s.v)
		} else {
			services.member(r, s.name, s.v)
		}
	}
}

func (n *supportNode) walk(r *report, v *value) {
	v.each(func(name string, member *value) {
		if !strings.HasPrefix(name, "x-") || name == extensionKey {
			n.member(r, name, member)
		}
	})
	if v.kind == sequence {
		for _, item := range v.items {
			if next := n.next[tree.PathMatchList]; next != nil {
				next.walk(r, item)
			}
		}
	}
}

func (n *supportNode) member(r *report, name string, v *value) {
	next := n.step(name)
	if next == nil {
		return // free-form, or unknown to the schema, which said so
	}
	if line := next.line; line != nil && line.standing != honoured {
		line.report(r, v)
		return
	}
	next.walk(r, v)
}

// report tells of a key that is not honoured. One set to false asks for nothing.
func (s *support) report(r *report, v *value) {
	if off, ok := v.data.(bool); ok && !off {
		return
	}
	key := s.path[strings.LastIndex(s.path, ".")+1:]
	if i := strings.Index(s.path, extensionKey); i >= 0 {
		key = s.path[i:]
	}
	if s.standing == refused {
		r.add(v.named(), "unsupported", fmt.Sprintf("%s is not supported: %s", key, s.reason), "")
		return
	}
	r.warn(v.named(), "ignored-key", fmt.Sprintf("%s has no effect: %s", key, s.reason), "")
}
