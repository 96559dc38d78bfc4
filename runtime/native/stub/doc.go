// Package stub is the program a container's first process runs before the
// user's: a few hundred bytes of machine code that interpret a script of system
// calls.
//
// It imports nothing of ours and starts nothing. Data passes one way:
//
//	Script (Call, If, Jump, …) ──ELF()──▶ bytes ──Open()──▶ sealed memfd ──▶ execve
//
// Why not a Go program: the runtime of one costs milliseconds and megabytes,
// has threads (joining a user namespace needs a process without), and would put
// a host binary inside the container. The stub has no heap, no library, no
// thread and, while it waits between create and start, a handful of pages.
//
// # The image
//
//	0x00400000  code   read, execute   copied from this program's text (code_*.s)
//	0x10001000  data   read, write     header, slots, data, steps
//
// The header holds the address of the first step, the descriptor failures are
// written to, and the failure record itself. A step is stepSize bytes; see
// layout.go for the words of both, which code_*.s repeats.
//
// # Semantics
//
// Steps run in order. A Call whose result is an errno that it does not allow
// writes {address of the step, errno} to the failure descriptor and exits with
// the step's exit status; Table turns the address back into words. An allowed
// errno goes to the step's Else label, or to the next step. Compute is the only
// other instruction that matters: dst = ((v >> shift) & mask) + add, then a jump
// if that equals a value; If, Set and Jump are written with it.
//
// Nothing of a script is secret: it is readable by whoever may read the
// process's memory, so it holds no more than argv and environment would.
package stub
