// Package vmtest gives tests the kernel of virtual machines, which .ci/deps fetches,
// and keeps machines of different tests apart: each needs a processor for itself.
//
// It may import runtime/runtimetest and runtime/vm/kernel.
package vmtest
