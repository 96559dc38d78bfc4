// Package runtime is the contract between the controller and whatever runs a
// container: the native runtime, an external OCI command line, a virtual
// machine. It holds types and errors only.
//
// It may import nothing of ours. Implementations live in sub-packages and must
// pass runtime/runtimetest. scheduler and cmd are the only packages outside
// this tree that import it (the name shadows the standard library's).
//
// A container lives through these states, named as in the OCI runtime
// specification:
//
//	creating ── Create ──▶ created ── Start ──▶ running ◀─ Pause/Resume ─▶ paused
//	                          │                    │
//	                          └────── exit ────────┴──▶ stopped ── Delete ──▶ (gone)
//
// Create makes the namespaces, the root file system and the first process,
// which waits; Start lets that process execute the user's program.
package runtime
