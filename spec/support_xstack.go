package spec

import "slices"

// xstackSupport are the keys of x-stack.
func xstackSupport() []support {
	return slices.Concat(
		ok("services.*.x-stack", "services.*.x-stack.isolation", "services.*.x-stack.kernel", "networks.*.x-stack"),
		ok("services.*.x-stack.bandwidth", "services.*.x-stack.bandwidth.ingress", "services.*.x-stack.bandwidth.egress"),
		ok("networks.*.x-stack.bandwidth", "networks.*.x-stack.bandwidth.ingress", "networks.*.x-stack.bandwidth.egress"),
		prefixed("services.*.x-stack.", slices.Concat(
			ok("probe", "probe.http", "probe.http.port", "probe.http.path", "probe.http.scheme", "probe.http.headers",
				"probe.tcp", "probe.exec", "probe.interval", "probe.timeout", "probe.retries",
				"probe.start_period", "probe.start_interval"),
			ok("on_config_change"),
			ok("watch", "watch.[].path", "watch.[].target", "watch.[].action", "watch.[].signal",
				"watch.[].ignore", "watch.[].include", "watch.[].initial_sync"),
			ok("autoheal"),
			ok("once", "schedule"),
		)),
	)
}
