// Package ps tells of processes what ps(1) shows in its full format.
//
// It may import x/sys/unix and reads /proc only: nothing of it is trusted to be
// there a moment later.
package ps
