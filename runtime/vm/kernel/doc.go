// Package kernel finds and fetches the kernels of virtual machines, and packs the
// initial RAM file system that each boots with: stack-shim as /init, and the modules
// for the machine's devices.
//
// It imports nothing of ours.
//
//	x-stack.kernel: PATH ─┐
//	Debian's package ─────┴▶ Kernel ─▶ modules in order ─▶ cpio ─▶ initrd, kept
//
// Files below the directory it is given (STATE/vm), which are made again when lost:
//
//	kernels/VERSION/vmlinuz    as the package has it
//	kernels/VERSION/vmlinux    the same, unpacked: QEMU starts it in less time
//	kernels/VERSION/modules/   those that a machine needs, NAME.ko
//	kernels/default            a link to VERSION
//	unpacked/HASH              what was unpacked of a user's kernel
//	initrd/VERSION-HASH        by the content that went into it
package kernel
