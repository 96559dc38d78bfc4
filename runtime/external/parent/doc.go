// Package parent is the short life between a program that executes a process in a
// container and leaves it alone (`runc exec --detach`) and a caller that wants to
// wait for it: a subreaper, child of the caller, which ends as the process does.
//
// It may import nothing of ours; the lean binary links it.
//
//	caller                     parent                     program
//	forks                ──▶   becomes a subreaper
//	                           forks                ──▶   makes the process, ends
//	                     ◀──   pid [pidfd]                 (without: its failure)
//	                           waits for the process
//	reaps                ◀──   ends with its code
//
// A program that makes no process but is one (`runsc exec`, whose process the host does
// not see) stays: the parent waits for the program, and tells the caller of it.
//
// The first descriptors are the program's; the socket to the caller comes after them.
package parent
