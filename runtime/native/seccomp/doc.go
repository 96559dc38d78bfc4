// Package seccomp compiles OCI seccomp profiles into classic BPF, without
// libseccomp. It loads nothing: the filter is data for the process that will
// apply it with seccomp(2).
//
// It may import nothing of ours.
//
// Data flow of Compile:
//
//	LinuxSeccomp ── resolve names, one table per ABI ──▶ number → outcome
//	             ── ranges of numbers with one outcome ──▶ balanced tree of jumps
//	             ── dispatch on the ABI ──▶ []unix.SockFilter
//
// Meaning, as with libseccomp under runc:
//   - The ABIs are the native one and those of the profile's architectures that
//     this machine runs (amd64: x86, x32; arm64: arm). Calls of any other ABI
//     kill the process.
//   - A rule whose action is the default action is dropped. Names that the
//     tables do not know are skipped.
//   - Conditions of one rule must all hold; when a rule names an argument twice
//     each condition becomes a rule of its own.
//   - The first rule without conditions decides a call and takes the place of
//     any with conditions. Among rules with conditions the first listed that
//     holds decides.
//   - Numbers above the newest that the tables know answer ENOSYS, unless the
//     default action lets calls through: programs then fall back as on an older
//     kernel.
//   - For x86 (32 bit), a rule without conditions on a socket or System V IPC
//     call also covers it inside socketcall(2) and ipc(2). Conditions cannot:
//     the arguments lie behind a pointer there.
package seccomp
