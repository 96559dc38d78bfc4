// Package vm runs a container as a virtual machine: its processes get a kernel of their
// own, under QEMU, and everything else is as for any container.
//
// It may import runtime, statedir and its own sub-packages. The hypervisor is itself run by a
// runtime.Runtime that it is given, the native one, as a container:
//
//	shim
//	 └ stack-shim machine-monitor     first process of the hypervisor's container
//	    └ qemu-system-…                its namespaces, cgroup, user namespace, filters
//	       └ Linux ─ stack-shim        process 1 of the guest
//	                  └ the program    in a container by the native runtime
//
// So names, limits, exits, standard streams, networks and cleaning up are the
// container's, and what breaks out of the guest stands in a container with nothing in
// it. The hypervisor's container has a root of its own: the host's /usr, read-only,
// and below /machine (package monitor) the kernel, the layers of the image, the
// volumes. Its root is nobody on the host.
//
//	Bundle ─▶ plan: what goes outside ─▶ runtime.Bundle of the hypervisor
//	               └ what goes inside ─▶ monitor.Config ─▶ port ─▶ guest
//
// Files: layers are read-only over virtio-9p, with an overlay in the guest whose upper
// directory is on an ext4 disk (a sparse file beside the container's layer, kept
// across restarts); volumes and bind mounts are shared over virtio-9p; configs and
// secrets go through the port into the guest's memory.
//
// Network: the first process's namespace has a tap for each interface (package netns
// makes them) and passes packets on; addresses are the guest's. Names are asked for
// through the port, so the resolver in the namespace answers as for a container.
//
// Machine: q35, and the kernel unpacked (PVH). Measured here under software emulation,
// boot to the first process and power-off again: microvm 1.9 s, q35 2.3 s, with the
// kernel compressed 4.7 s. microvm was given up for what it lacks: with no timer but
// the PIT to calibrate by, one boot in eight hung on a busy machine.
//
// # What a machine cannot do
//
// As a runtime.Runtime it differs from the contract so: Pids are the hypervisor's
// processes; Update changes the share of processors only; a signal to all reaches the
// program alone, unless it is SIGKILL; a bundle with ExtraFiles, with less than 128 MB,
// or one that joins namespaces, is refused; no mount point is made in a root that is a
// plain directory shared read-only; namespaces, cgroup and oom_score_adj that
// the suite looks up in the host's /proc are the hypervisor's.
//
// Processor: KVM where a kernel is seen to run with it (tried once since the host's boot,
// remembered in Home/kvm.json), otherwise QEMU's software emulation, told once.
//
// Files in Options.Root, per machine ID: control.sock, on which the monitor answers.
// A directory there is what makes a container a machine; it goes with the container.
package vm
