package spec

import "slices"

const (
	windows     = "it exists on Windows only"
	macOnly     = "it means something on macOS only"
	legacy      = "it is not part of the Compose Specification"
	oneHost     = "a stack runs on one machine"
	gpuOpts     = "vendors' specifications of devices take no options"
	modelRunner = "it takes a runner of models outside the stack; run one as a service and give its address by environment"
)

func topSupport() []support {
	return slices.Concat(
		ok("name", "include", "services", "jobs", "networks", "volumes", "secrets", "configs",
			"services.*", "jobs.*", "networks.*", "volumes.*", "secrets.*", "configs.*",
			"include.[].path", "include.[].env_file", "include.[].project_directory"),
		warn("it is obsolete", "version"),
		refuse(modelRunner, "models"),
	)
}

// serviceSupport are the keys of services alone.
func serviceSupport() []support {
	return slices.Concat(
		ok("deploy", "restart", "scale", "attach", "container_name", "links",
			"extends", "extends.service", "extends.file"),
		watchSupport(),
		refuse("it would run a program outside the stack; run what it provides as a service", "provider"),
		warn("containers outside the stack are reached over an external network", "external_links"),
		hookSupport("post_start"), hookSupport("pre_stop"),
		ok("pre_start", "pre_start.[].per_replica"), prefixed("pre_start.[].", containerSupport()),
		refuse(legacy, "net"),
	)
}

// workloadSupport are the keys of services and of jobs.
func workloadSupport() []support {
	return slices.Concat(
		ok("profiles"),
		ok("depends_on", "depends_on.*.condition", "depends_on.*.restart", "depends_on.*.required"),
		ok("expose", "stdin_open", "tty"),
		ok("healthcheck", "healthcheck.test", "healthcheck.timeout", "healthcheck.interval", "healthcheck.retries",
			"healthcheck.start_period", "healthcheck.start_interval", "healthcheck.disable"),
		// name and app_protocol only describe, in Compose as well; mode makes no
		// difference on one host.
		ok("ports", "ports.[].name", "ports.[].mode", "ports.[].host_ip", "ports.[].target",
			"ports.[].published", "ports.[].protocol", "ports.[].app_protocol"),
		buildSupport(),
		refuse(legacy, "dockerfile"),
	)
}

// triggerSupport are the keys of jobs alone.
func triggerSupport() []support {
	item := "triggers.schedule.[]."
	return ok("triggers", "triggers.manual", "triggers.schedule", item+"cron", item+"timezone", item+"concurrency", item+"missed_fires")
}

func buildSupport() []support {
	keys := ok("build")
	for _, k := range []string{"context", "dockerfile", "dockerfile_inline", "args", "target", "cache_from", "cache_to", "no_cache",
		"no_cache_filter", "pull", "platforms", "labels", "network", "shm_size", "extra_hosts", "additional_contexts", "tags",
		"entitlements", "privileged", "ssh", "secrets", "secrets.[].source", "secrets.[].target",
		"ulimits", "ulimits.*.soft", "ulimits.*.hard", "provenance", "sbom"} {
		keys = append(keys, ok("build."+k)...)
	}
	return slices.Concat(keys,
		// BuildKit gives a secret what RUN --mount=type=secret says.
		warn("RUN --mount says who may read a secret", "build.secrets.[].uid", "build.secrets.[].gid", "build.secrets.[].mode"),
		refuse(windows, "build.isolation"),
	)
}

func watchSupport() []support {
	item := "develop.watch.[]."
	return ok("develop", "develop.watch", item+"path", item+"action", item+"target", item+"ignore", item+"include", item+"initial_sync",
		item+"exec", item+"exec.command", item+"exec.user", item+"exec.privileged", item+"exec.working_dir", item+"exec.environment")
}

// hookSupport are the keys of hooks that run inside the container.
func hookSupport(name string) []support {
	item := name + ".[]."
	return ok(name, item+"command", item+"user", item+"privileged", item+"working_dir", item+"environment")
}

// containerSupport are the keys of anything that runs a container.
func containerSupport() []support {
	return slices.Concat(
		ok("image", "command", "entrypoint", "environment", "working_dir", "user", "group_add", "labels", "label_file",
			"env_file", "env_file.[].path", "env_file.[].required", "env_file.[].format"),
		ok("hostname", "domainname", "dns", "dns_search", "dns_opt", "extra_hosts", "network_mode", "mac_address"),
		ok("cap_add", "cap_drop", "privileged", "security_opt", "userns_mode", "pid", "ipc", "uts", "cgroup"),
		ok("init", "read_only", "shm_size", "tmpfs", "sysctls", "stop_signal", "stop_grace_period", "oom_score_adj", "umask"),
		ok("ulimits", "ulimits.*.soft", "ulimits.*.hard"),
		ok("devices", "devices.[].source", "devices.[].target", "devices.[].permissions", "device_cgroup_rules"),
		ok("annotations", "cgroup_parent", "runtime", "storage_opt", "logging", "logging.driver", "logging.options"),
		limitSupport(), mountSupport(), attachmentSupport(),
		ok("pull_policy", "pull_refresh_after", "platform"),
		refuse("the container would reach the machine's Docker API", "use_api_socket"),
		requestSupport("gpus"),
		refuse(modelRunner, "models"),
		refuse(windows, "credential_spec", "isolation", "cpu_count", "cpu_percent"),
		refuse(legacy, "log_driver", "log_opt", "volume_driver"),
	)
}

// requestSupport are the keys of requests for devices that vendors describe (CDI).
func requestSupport(name string) []support {
	item := name + ".[]."
	return append(ok(name, item+"capabilities", item+"driver", item+"count", item+"device_ids"), warn(gpuOpts, item+"options")...)
}

func limitSupport() []support {
	devices := []string{"weight_device", "device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops"}
	out := ok("cpus", "cpuset", "cpu_shares", "cpu_period", "cpu_quota", "pids_limit",
		"mem_limit", "mem_reservation", "memswap_limit", "blkio_config", "blkio_config.weight")
	for _, d := range devices {
		value := "rate"
		if d == "weight_device" {
			value = "weight"
		}
		out = append(out, ok("blkio_config."+d, "blkio_config."+d+".[].path", "blkio_config."+d+".[]."+value)...)
	}
	return slices.Concat(out,
		// Machines with cgroup v2 cannot: the container says so when it starts.
		ok("mem_swappiness", "oom_kill_disable", "cpu_rt_period", "cpu_rt_runtime"))
}

func mountSupport() []support {
	return slices.Concat(
		ok("volumes", "volumes_from", "volumes.[].type", "volumes.[].source", "volumes.[].target", "volumes.[].read_only",
			"volumes.[].bind", "volumes.[].bind.propagation", "volumes.[].bind.create_host_path",
			"volumes.[].bind.recursive", "volumes.[].volume", "volumes.[].volume.nocopy", "volumes.[].volume.subpath",
			"volumes.[].tmpfs", "volumes.[].tmpfs.size", "volumes.[].tmpfs.mode"),
		warn(macOnly, "volumes.[].consistency"),
		warn("files are not relabelled", "volumes.[].bind.selinux"),
		ok("volumes.[].volume.labels"), // of an anonymous volume
		ok("volumes.[].image", "volumes.[].image.subpath"),
	)
}

// attachmentSupport: networks, secrets and configs of a service.
func attachmentSupport() []support {
	out := slices.Concat(
		ok("networks", "networks.*.aliases", "networks.*.ipv4_address", "networks.*.ipv6_address",
			"networks.*.link_local_ips", "networks.*.mac_address", "networks.*.priority",
			"networks.*.gw_priority", "networks.*.interface_name", "networks.*.use_service_name_alias", "networks.*.driver_opts"))
	for _, list := range []string{"secrets", "configs"} {
		out = append(out, ok(list, list+".[].source", list+".[].target", list+".[].uid", list+".[].gid", list+".[].mode")...)
	}
	return out
}

func deploySupport() []support {
	return slices.Concat(
		ok("mode", "replicas", "endpoint_mode", "resources", "resources.limits", "resources.reservations",
			"resources.limits.cpus", "resources.limits.memory", "resources.limits.pids", "resources.reservations.memory",
			"resources.reservations.cpus", // a share of a busy machine
			"restart_policy", "restart_policy.condition", "restart_policy.max_attempts", "restart_policy.delay", "restart_policy.window"),
		ok("labels"), // of the service: inspect shows them, containers have labels of their own
		ok("update_config", "update_config.parallelism", "update_config.delay", "update_config.order",
			"update_config.monitor", "update_config.max_failure_ratio", "update_config.failure_action"),
		ok("rollback_config", "rollback_config.parallelism", "rollback_config.delay", "rollback_config.order",
			"rollback_config.monitor", "rollback_config.max_failure_ratio", "rollback_config.failure_action"),
		warn(oneHost, "placement", "resources.reservations.pids"),
		requestSupport("resources.reservations.devices"),
		ok("resources.reservations.generic_resources.[].discrete_resource_spec.kind",
			"resources.reservations.generic_resources.[].discrete_resource_spec.value"),
		refuse("devices are reserved, not limited", "resources.limits.devices", "resources.limits.generic_resources"),
	)
}

func networkSupport() []support {
	return slices.Concat(
		ok("name", "driver", "external", "external.name", "internal", "attachable", "labels", "enable_ipv4", "enable_ipv6",
			"ipam", "ipam.driver", "ipam.config", "ipam.config.[].subnet", "ipam.config.[].gateway",
			"ipam.config.[].ip_range", "ipam.config.[].aux_addresses", "driver_opts"),
		ok("ipam.options"), // shown, as by Docker: the one allocator has none
	)
}

func volumeSupport() []support {
	return slices.Concat(
		ok("name", "driver", "driver_opts", "external", "external.name", "labels"),
	)
}

func fileSupport(kind string) []support {
	return slices.Concat(
		ok("name", "file", "environment", "labels"),
		refuse("there is no store of "+kind+" outside the file", "external", "driver", "driver_opts"),
		refuse("content is given as it is", "template_driver"),
	)
}
