// Package monitor is the first process of the container in which a virtual machine
// runs, and the processes that stand for what is executed inside the machine. Both
// are modes of stack-shim.
//
// It may import runtime and runtime/vm/wire.
//
// The monitor starts the hypervisor as its child, hands the guest its container,
// copies the standard streams, passes signals on, and ends as the program in the
// guest did. To the shim it is the replica: killed, it takes the hypervisor with it,
// since it is process 1 of their pid namespace.
//
//	Config (a file on tmpfs) ─▶ Main ─▶ taps, QEMU ◀─ console (kept: its end)
//	                             │  port ─▶ wire.Conn ◀─▶ guest
//	control socket ─▶ Request ───┘     (names: to the namespace's resolver)
//
// A relay (Relay) is what the caller of Exec gets as its child: the caller has opened
// the stream, so a program that cannot be executed is an error there; the relay
// copies bytes until the exit code comes.
//
// QEMU keeps fewer capabilities than the monitor: those with which it acts on shared
// files as their owners. The host trusts neither of them.
package monitor
