package spec

import "slices"

// xstackSupport are the keys of x-stack.
func xstackSupport() []support {
	return slices.Concat(
		ok("services.*.x-stack", "services.*.x-stack.isolation", "networks.*.x-stack"),
		prefixed("services.*.x-stack.", slices.Concat(
			warn("limits of bandwidth are not built yet", "bandwidth"),
			warn("probes are not built yet", "probe"),
			warn("watching files is not built yet", "watch"),
			warn("a one-shot service runs again with each up", "once"),
			refuse("starting services by schedule is not built yet", "schedule"),
		)),
		prefixed("networks.*.x-stack.", warn("limits of bandwidth are not built yet", "bandwidth")),
	)
}
