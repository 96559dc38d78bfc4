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
// The first descriptors are the program's; the socket to the caller comes after them.
package parent
