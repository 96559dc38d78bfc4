// Package metrics reads what a container's control groups use and may use, through
// github.com/containerd/cgroups/v3.
//
// It is apart from native/cgroup, which makes and limits the groups, because the
// library brings protobuf and D-Bus with it: 2 ms and 4 MB before main. So the lean
// stack-shim does without; who wants statistics gives Read to native.Options.
//
// It imports runtime (for Stats) and nothing else of ours.
package metrics
