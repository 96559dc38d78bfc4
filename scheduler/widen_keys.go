package scheduler

import "slices"

// serviceKeys judge every key of a service, and of a pre_start hook. Free are those
// that concern what runs inside, how much of the machine it may use, and how it
// is looked after; see Widens for a service that runs with the host's root.
func serviceKeys() map[string]judge {
	table := map[string]judge{
		// The cage.
		"privileged": turnsOn, "cap_add": gains, "cap_drop": loses, "security_opt": everyChange,
		"devices": gains, "device_cgroup_rules": gains, "gpus": gains, "cgroup_parent": anyChange,
		"network_mode": networkMode, "net": networkMode, "pid": joins, "ipc": joins, "uts": joins, "cgroup": joins, "userns_mode": joins,
		"sysctls": anyChange, "oom_score_adj": lower, "oom_kill_disable": turnsOn,
		"cpu_rt_period": anyChange, "cpu_rt_runtime": anyChange,
		"annotations": anyChange, // an external runtime may obey them
		// What carries it out.
		"runtime": everyChange, "isolation": everyChange, "provider": anyChange, "credential_spec": anyChange,
		"use_api_socket": turnsOn, "models": anyChange, "storage_opt": anyChange, "volume_driver": anyChange,
		// The host's files, ports, and other containers.
		"volumes": mounts, "volumes_from": gains, "ports": published, "external_links": gains,
		"build": built, "dockerfile": anyChange, "develop": developed, "deploy": deployed,
		"post_start": execs, "pre_stop": execs, "Extensions": extensions,
	}
	for _, key := range slices.Concat(
		// Judged elsewhere: where it comes from (Widens, files), what hooks are made of.
		[]string{"env_file", "label_file", "extends", "image", "pre_start"},
		[]string{"name", "profiles", "attach", "container_name", "links", "labels", "log_driver", "log_opt", "logging", "CustomLabels", "depends_on"},
		[]string{"command", "entrypoint", "environment", "working_dir", "user", "group_add", "umask", "init", "read_only",
			"tmpfs", "configs", "secrets", "stdin_open", "tty", "hostname", "domainname", "platform", "pull_policy", "pull_refresh_after"},
		[]string{"restart", "scale", "healthcheck", "stop_grace_period", "stop_signal", "per_replica"},
		[]string{"blkio_config", "cpu_count", "cpu_percent", "cpu_period", "cpu_quota", "cpus", "cpuset", "cpu_shares",
			"mem_limit", "mem_reservation", "memswap_limit", "mem_swappiness", "pids_limit", "shm_size", "ulimits"},
		[]string{"networks", "dns", "dns_opt", "dns_search", "extra_hosts", "mac_address", "expose"},
	) {
		table[key] = free
	}
	return table
}

// buildKeys judge those of a build.
func buildKeys() map[string]judge {
	table := map[string]judge{
		"context": anyChange, "dockerfile": anyChange, "additional_contexts": anyChange,
		"entitlements": gains, "privileged": turnsOn, "ssh": anyChange, "secrets": gains, "network": networkMode, "isolation": everyChange,
		"cache_from": gains, "cache_to": gains, "ulimits": anyChange, "Extensions": everyChange,
	}
	for _, key := range []string{"dockerfile_inline", "args", "provenance", "sbom", "labels", "no_cache", "no_cache_filter",
		"pull", "extra_hosts", "target", "shm_size", "tags", "platforms"} {
		table[key] = free
	}
	return table
}

// xstackKeys judge those of x-stack of a service, by their names in Go.
func xstackKeys() map[string]judge {
	return map[string]judge{
		"Bandwidth": free, "Probe": free, "Isolation": everyChange, "Kernel": everyChange, "Watch": followed, "Once": free, "Schedule": free, "KeepUnhealthy": free, "OnConfigChange": free,
	}
}

// volumeKeys judge those of a volume that the stack has or gets.
func volumeKeys() map[string]judge {
	return map[string]judge{
		"name":   free, // see volumes
		"driver": driver("local"), "driver_opts": everyChange, "external": everyChange, "Extensions": everyChange,
		"labels": free, "CustomLabels": free,
	}
}

// networkKeys judge those of a network.
func networkKeys() map[string]judge {
	return map[string]judge{
		"name":   free, // see networks
		"driver": driver("bridge"), "driver_opts": everyChange, "external": everyChange, "internal": turnsOff, "ipam": anyChange,
		"labels": free, "CustomLabels": free, "attachable": free, "enable_ipv4": free, "enable_ipv6": free, "Extensions": free,
	}
}
