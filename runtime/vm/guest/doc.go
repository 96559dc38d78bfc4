// Package guest is the first process of a virtual machine: stack-shim, as /init of
// the initial RAM file system that package kernel packs.
//
// It may import runtime, its file copies and process lists (native/transfer, native/ps),
// and runtime/vm/wire. What runs the container inside the
// machine is a runtime.Runtime that it is given: the native one, so a program finds
// in a machine what it finds in a container, under a kernel of its own.
//
//	kernel ─▶ Main: file systems, modules ─▶ port ─▶ hello ─▶ requests (wire.Op)
//	run: interfaces, shares, disk ─▶ Create, Start ─▶ exit ─▶ sync ─▶ power off
//
// What it prints goes to the machine's console, whose end the monitor shows when a
// machine fails.
package guest
