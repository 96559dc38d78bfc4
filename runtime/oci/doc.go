// Package oci is the native runtime's command line as an OCI runtime: what Docker,
// containerd, podman and people who know runc expect, after the OCI runtime
// specification 1.3 and runc's flags.
//
// It may import runtime and runtime/native. It is linked into the lean binary and
// therefore uses nothing whose initialisation takes time: flag, not cobra.
//
//	argv ─▶ Main: global flags ─▶ commands(): one file a command ─▶ native.Runtime
//	config.json ─▶ loadBundle (validation) ─▶ runtime.Bundle
//	error ─▶ report: standard error, and --log as runc writes it
//
// # Who is whose parent
//
// create and run -d leave the container's first process to whoever is the nearest
// subreaper of the process that called them: containerd-shim, conmon. It is forked
// as a child of this process, which ends; so its exit is seen by the subreaper
// alone. run without -d is the subreaper itself.
//
// State is the native runtime's, in ROOT/ID (see native's record.go); ROOT is
// /run/stack-oci unless --root says otherwise.
package oci
