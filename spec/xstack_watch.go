package spec

import (
	"strings"

	"github.com/moby/sys/signal"
)

func (x extensionReader) watch(v *value) *Watch {
	if v == nil || v.kind == mapping {
		return nil
	}
	if v.kind == scalar {
		if v.text() != "auto" {
			x.add(v.at, "extension", "watch cannot be "+quote(v), "write auto, or a list of rules")
		}
		return &Watch{Auto: true}
	}
	w := &Watch{}
	for _, item := range v.items {
		w.Rules = append(w.Rules, x.watchRule(item))
	}
	return w
}

func (x extensionReader) watchRule(v *value) WatchRule {
	rule := WatchRule{Path: v.get("path").text(), Target: v.get("target").text(), Action: v.get("action").text(),
		Signal: v.get("signal").text(), Ignore: v.get("ignore").texts(), Include: v.get("include").texts(),
		InitialSync: x.truth(v.get("initial_sync"), "initial_sync")}
	if rule.Action == "" {
		rule.Action = defaultAction(rule)
	}
	if rule.Target == "" && strings.HasPrefix(rule.Action, "sync") {
		x.add(v.get("action").at, "extension", syncNeedsTarget(rule.Action), targetHint)
	}
	if rule.Signal == "" {
		return rule
	}
	if _, err := signal.ParseSignal(rule.Signal); err != nil {
		x.addf(v.get("signal").at, "extension", "there is no signal %q", rule.Signal)
	} else if !strings.HasSuffix(rule.Action, "restart") {
		x.add(v.get("signal").at, "extension", "signal takes the place of a restart, and "+rule.Action+" has none",
			"write action: sync+restart, or restart")
	}
	return rule
}

const targetHint = "give the rule target: PATH"

func syncNeedsTarget(action string) string {
	return action + " needs a target, a path of the container"
}

// texts are the items of a list, or the one text that stands for it.
func (v *value) texts() []string {
	var out []string
	for _, item := range v.list() {
		out = append(out, item.text())
	}
	return out
}

// defaultAction is what a rule does that does not say.
func defaultAction(r WatchRule) string {
	switch {
	case r.Target == "":
		return "restart"
	case r.Signal != "":
		return "sync+restart"
	}
	return "sync"
}
